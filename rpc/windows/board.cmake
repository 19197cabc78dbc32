# neo-board.exe: the agent for Windows on x86-64, in build/bin/windows, by mingw; see runtime/windows/build.cmake, whose objects are in it.
if(NOT MINGW_CC)
  return()
endif()
set(tls)
set(NEO_WINDOWS_TLS rpc/absent/tls_absent.c)
if(NEO_MBEDTLS_SOURCE)
  neo_mbedtls_objects(tls ${CMAKE_BINARY_DIR}/cross/windows/mbedtls ${MINGW_CC} ${NEO_WINDOWS_FLAGS})
  list(APPEND NEO_WINDOWS_FLAGS ${NEO_MBEDTLS_FLAGS})
  set(NEO_WINDOWS_TLS rpc/tls.c)
endif()
file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/rpc/windows/*.c)
neo_windows_objects(board ${sources} ${NEO_WINDOWS_TLS} rpc/absent/count_absent.c rpc/absent/sandbox_absent.c rpc/address.c rpc/blobs.c rpc/board.c rpc/board_child.c
                    rpc/board_main.c rpc/canary.c rpc/channel.c rpc/frame.c rpc/job.c rpc/keys.c rpc/link.c rpc/net_message.c)
add_custom_command(OUTPUT ${NEO_WINDOWS_DIR}/neo-board.exe
  COMMAND ${MINGW_CC} -static -s -Wl,--gc-sections -Wl,--stack,8388608 ${board} ${tls} ${NEO_WINDOWS_RUNTIME} -lpthread -lws2_32 -ladvapi32
          -o ${NEO_WINDOWS_DIR}/neo-board.exe
  DEPENDS ${board} ${tls} ${NEO_WINDOWS_RUNTIME} VERBATIM)
add_custom_target(neo-board-windows ALL DEPENDS ${NEO_WINDOWS_DIR}/neo-board.exe)
add_dependencies(neo-windows neo-board-windows)
