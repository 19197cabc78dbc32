# neo-board: the agent. Its main is not part of the library.
get_target_property(neo_rpc_sources neo_rpc SOURCES)
list(FILTER neo_rpc_sources EXCLUDE REGEX "(board_main|count_plugin)\\.c$")
set_property(TARGET neo_rpc PROPERTY SOURCES ${neo_rpc_sources})
add_executable(neo-board ${CMAKE_SOURCE_DIR}/rpc/board_main.c)
target_link_libraries(neo-board PRIVATE neo_rpc)
target_link_options(neo-board PRIVATE -Wl,-z,now) # resolving a function when it is called saves registers, a key perhaps, on the stack

include(${CMAKE_CURRENT_LIST_DIR}/mbedtls.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/cross_board.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/windows/board.cmake)
neo_cross_board(aarch64)
neo_cross_board(armv7 arm-linux-gnueabihf -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64)
neo_cross_board(riscv64)
# The static one for such boards; neo-board itself is for this machine. With musl where it is installed.
find_program(MUSL_CC musl-gcc)
if(MUSL_CC AND CMAKE_HOST_SYSTEM_PROCESSOR STREQUAL x86_64)
  set(CROSS_CC_x86_64 ${MUSL_CC} CACHE FILEPATH "compiler of neo-board-x86_64" FORCE)
endif()
neo_cross_board(x86_64)

# The plugin of the emulator that runs those boards; it calls functions that the emulator has.
add_library(neo-count MODULE ${CMAKE_SOURCE_DIR}/rpc/count_plugin.c)
target_compile_options(neo-count PRIVATE -fvisibility=hidden -fno-sanitize=all)
target_link_options(neo-count PRIVATE -fno-sanitize=all)
set_target_properties(neo-count PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
