# neo-board for another architecture: build/bin/neo-board-ARCH, static and stripped, where the cross compiler is installed.
#
# Why commands and not a toolchain file: one configuration builds both, so the tests that emulate the board need no second
# build tree; the sources are C for libc alone, so there is nothing to configure. The runtime comes in as an archive:
# the linker takes what the agent needs and leaves the artifact loader.

# neo-run-ARCH runs artifacts there (examples/neo_run.c); not static, since it loads compiled.so.
function(neo_cross_run arch dir compiler flags)
  set(program ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/neo-run-${arch})
  set(source ${CMAKE_SOURCE_DIR}/examples/neo_run.c)
  add_custom_command(OUTPUT ${program}
    COMMAND ${compiler} ${flags} -s -Wl,--gc-sections ${source} ${dir}/libboard.a -ldl -lpthread -lm -o ${program}
    DEPENDS ${source} ${CMAKE_SOURCE_DIR}/include/neo/neo_rt.h neo-board-${arch} ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/neo-board-${arch} VERBATIM)
  add_custom_target(neo-run-${arch} ALL DEPENDS ${program})
endfunction()

# neo_cross_board(arch [tuple [flags...]]): with the compiler TUPLE-gcc; TUPLE is ARCH-linux-gnu if not given
function(neo_cross_board arch)
  set(tuple ${arch}-linux-gnu)
  if(ARGC GREATER 1)
    set(tuple ${ARGV1})
    list(REMOVE_AT ARGN 0)
  endif()
  find_program(CROSS_CC_${arch} ${tuple}-gcc)
  find_program(CROSS_AR_${arch} ${tuple}-ar)
  if(NOT CROSS_CC_${arch} OR NOT CROSS_AR_${arch})
    message(STATUS "neo-board-${arch}: not built, ${tuple}-gcc is missing")
    return()
  endif()
  set(dir ${CMAKE_BINARY_DIR}/cross/${arch})
  set(flags -std=c17 -O2 -Wall -Wextra -Wno-missing-field-initializers -D_GNU_SOURCE -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
      -I${CMAKE_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/include ${ARGN})
  set(tls)
  set(tls_flags)
  if(NEO_MBEDTLS_SOURCE)
    neo_mbedtls_objects(tls ${dir}/mbedtls ${CROSS_CC_${arch}} ${flags})
    set(tls_flags ${NEO_MBEDTLS_FLAGS})
  endif()
  set(objects)
  foreach(folder base/core runtime rpc)
    file(MAKE_DIRECTORY ${dir}/${folder})
    file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/${folder}/*.c)
    list(REMOVE_ITEM sources rpc/count_plugin.c)
    if(folder STREQUAL runtime)
      list(REMOVE_ITEM sources runtime/pool_openmp.c)
      list(APPEND sources runtime/absent/pool_openmp_absent.c)
      file(MAKE_DIRECTORY ${dir}/runtime/absent)
    endif()
    if(folder STREQUAL rpc AND NOT tls)
      list(REMOVE_ITEM sources rpc/tls.c)
      list(APPEND sources rpc/absent/tls_absent.c)
      file(MAKE_DIRECTORY ${dir}/rpc/absent)
    endif()
    foreach(source ${sources})
      add_custom_command(OUTPUT ${dir}/${source}.o
        COMMAND ${CMAKE_C_COMPILER_LAUNCHER} ${CROSS_CC_${arch}} ${flags} ${tls_flags} -MD -MF ${dir}/${source}.d
                -c ${CMAKE_SOURCE_DIR}/${source} -o ${dir}/${source}.o
        DEPENDS ${CMAKE_SOURCE_DIR}/${source} DEPFILE ${dir}/${source}.d VERBATIM)
      list(APPEND objects ${dir}/${source}.o)
    endforeach()
  endforeach()
  set(main ${dir}/rpc/board_main.c.o)
  set(library ${objects} ${tls})
  list(REMOVE_ITEM library ${main})
  set(program ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/neo-board-${arch})
  add_custom_command(OUTPUT ${program}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${dir}/libboard.a
    COMMAND ${CROSS_AR_${arch}} rcs ${dir}/libboard.a ${library}
    COMMAND ${CROSS_CC_${arch}} -static -s -Wl,--gc-sections -Wl,--no-warnings -Wl,-z,stack-size=1048576
            ${main} ${dir}/libboard.a -lm -o ${program}
    DEPENDS ${objects} ${tls} VERBATIM)
  add_custom_target(neo-board-${arch} ALL DEPENDS ${program})
  if(NOT CROSS_CC_${arch} MATCHES "musl-gcc$")
    neo_cross_run(${arch} ${dir} ${CROSS_CC_${arch}} "${flags}")
  endif()
endfunction()
