# Programs for Hexagon, in build/bin, where clang-19 and lld-19 are installed: neo-board-hexagon and neo-run-hexagon, static, with
# the C library of this folder (libc.h says why). Commands and no toolchain file: see rpc/cross_board.cmake.
#
# Processor v67 with vectors, the one that qemu-hexagon 7.2 emulates: it multiplies doubles. Loops are left scalar. No packet has a
# load that must see the store beside it: after a packet with a predicated instruction that was not run in the place of that store,
# this emulator lets the load see what was there before.

find_program(HEXAGON_CC clang-19)
find_program(HEXAGON_LD ld.lld-19)
if(NOT HEXAGON_CC OR NOT HEXAGON_LD)
  message(STATUS "neo-board-hexagon: not built, clang-19 or ld.lld-19 is missing")
  return()
endif()

set(dir ${CMAKE_BINARY_DIR}/cross/hexagon)
set(NEO_HEXAGON_FLAGS --target=hexagon-unknown-linux -mv67 -mhvx -mhvx-length=128b -mllvm -slot1-store-slot0-load=false -G0 -std=c17 -O2 -Wall -Wextra
    -Wno-missing-field-initializers -D_GNU_SOURCE -fno-vectorize -fno-slp-vectorize -ffunction-sections -fdata-sections
    -nostdlibinc -isystem ${dir}/include -I${CMAKE_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/include)

# The standard headers; elf.h needs none of a system's.
foreach(name assert.h bits/auxv.h errno.h dlfcn.h fcntl.h features.h locale.h math.h poll.h pthread.h sched.h signal.h stdio.h stdlib.h string.h time.h
        unistd.h sys/mman.h sys/prctl.h sys/resource.h sys/socket.h sys/stat.h sys/types.h sys/wait.h)
  file(CONFIGURE OUTPUT ${dir}/include/${name} CONTENT "#include \"runtime/hexagon/libc.h\"\n")
endforeach()
file(CONFIGURE OUTPUT ${dir}/include/link.h CONTENT "#include <elf.h>\n#define ElfW(type) Elf32_##type\n" @ONLY)
find_path(NEO_ELF_INCLUDE elf.h REQUIRED)
file(CREATE_LINK ${NEO_ELF_INCLUDE}/elf.h ${dir}/include/elf.h SYMBOLIC)

# neo_hexagon_objects(out sources...): sources relative to the tree, compiled
function(neo_hexagon_objects out)
  set(objects)
  foreach(source ${ARGN})
    set(object ${CMAKE_BINARY_DIR}/cross/hexagon/${source}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    set(flags ${NEO_HEXAGON_FLAGS})
    if(source MATCHES "/hexagon/") # memcpy must not become a call of memcpy, nor its test be folded
      list(APPEND flags -fno-builtin)
    endif()
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_C_COMPILER_LAUNCHER} ${HEXAGON_CC} ${flags} -MD -MF ${object}.d -c ${CMAKE_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${CMAKE_SOURCE_DIR}/${source} DEPFILE ${object}.d VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()

# neo_hexagon_program(path objects...)
function(neo_hexagon_program path)
  add_custom_command(OUTPUT ${path}
    COMMAND ${HEXAGON_LD} -static -s --gc-sections --entry=_start ${ARGN} -o ${path}
    DEPENDS ${ARGN} VERBATIM)
endfunction()

file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/base/core/*.c
     ${CMAKE_SOURCE_DIR}/runtime/*.c ${CMAKE_SOURCE_DIR}/runtime/hexagon/*.c)
list(FILTER sources EXCLUDE REGEX "(runtime/pool_openmp|core/image_library|core/condition)\\.c$")
list(APPEND sources runtime/absent/pool_openmp_absent.c runtime/absent/image_library_absent.c)
neo_hexagon_objects(library ${sources})
neo_hexagon_objects(neo_run examples/neo_run.c)
# The agent: frames over a pipe, no network.
neo_hexagon_objects(board rpc/blobs.c rpc/board.c rpc/board_child.c rpc/board_main.c rpc/board_process.c rpc/board_start.c rpc/canary.c rpc/count.c
                    rpc/frame.c rpc/job.c rpc/stream.c rpc/absent/network_absent.c rpc/absent/sandbox_absent.c)
neo_hexagon_program(${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/neo-run-hexagon ${neo_run} ${library})
neo_hexagon_program(${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/neo-board-hexagon ${board} ${library})
# A test of that library; tests/runtime/extra.cmake builds its like for this machine.
set(check ${CMAKE_BINARY_DIR}/tests/libc_check_hexagon)
neo_hexagon_objects(libc_check tests/runtime/hexagon/libc_check.c)
neo_hexagon_program(${check} ${libc_check} ${library})
add_custom_target(neo-board-hexagon ALL DEPENDS ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/neo-run-hexagon
                  ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/neo-board-hexagon ${check})
