# libneo_rt and programs for Windows on x86-64, in build/bin/windows, where mingw-w64's compiler is installed: neo_rt.dll with
# its import library libneo_rt.dll.a, run_model.exe, and neo-run.exe, which has the runtime inside. The agent: rpc/windows/board.cmake. Commands and no toolchain file: see rpc/cross_board.cmake.
#
# Static: of mingw's libraries nothing is left to ship (winpthreads is in the .dll); what remains is the system's own.

find_program(MINGW_CC x86_64-w64-mingw32-gcc)
find_program(WINE_PROGRAM NAMES wine64 wine PATHS /usr/lib/wine)
set(NEO_WINDOWS_DIR ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/windows)
set(NEO_WINDOWS_FLAGS -std=c17 -O2 -Wall -Wextra -Wno-missing-field-initializers -D_GNU_SOURCE -D__USE_MINGW_ANSI_STDIO=1
    -D_WIN32_WINNT=0x0601 -ffunction-sections -fdata-sections -I${CMAKE_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/include)

# neo_windows_objects(out sources...): sources relative to the tree, compiled with NEO_WINDOWS_FLAGS
function(neo_windows_objects out)
  set(objects)
  foreach(source ${ARGN})
    set(object ${CMAKE_BINARY_DIR}/cross/windows/${source}.o)
    get_filename_component(dir ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${dir})
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_C_COMPILER_LAUNCHER} ${MINGW_CC} ${NEO_WINDOWS_FLAGS} -MD -MF ${object}.d
              -c ${CMAKE_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${CMAKE_SOURCE_DIR}/${source} DEPFILE ${object}.d VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()

if(NOT MINGW_CC)
  message(STATUS "neo_rt.dll: not built, x86_64-w64-mingw32-gcc is missing")
  return()
endif()

file(MAKE_DIRECTORY ${NEO_WINDOWS_DIR})
file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/base/core/*.c
     ${CMAKE_SOURCE_DIR}/runtime/*.c ${CMAKE_SOURCE_DIR}/runtime/windows/*.c)
list(FILTER sources EXCLUDE REGEX "(runtime/(os_posix|pool_openmp|elf_[a-z0-9_]*)|core/image_library|core/condition)\\.c$")
list(APPEND sources runtime/absent/pool_openmp_absent.c runtime/absent/image_library_absent.c)
neo_windows_objects(NEO_WINDOWS_RUNTIME ${sources})
neo_windows_objects(example examples/run_model.c)
neo_windows_objects(neo_run examples/neo_run.c)

# The exports are those of the shared library elsewhere.
file(STRINGS ${CMAKE_SOURCE_DIR}/runtime/neo_rt.map exports REGEX "neo_rt_")
string(REGEX REPLACE "[ ;]+" "\n" exports "EXPORTS;${exports}\n")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/cross/windows/neo_rt.def CONTENT "${exports}" @ONLY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/neo_rt.map)
set(link ${MINGW_CC} -static -s -Wl,--gc-sections)
add_custom_command(OUTPUT ${NEO_WINDOWS_DIR}/neo_rt.dll ${NEO_WINDOWS_DIR}/libneo_rt.dll.a
  COMMAND ${link} -shared ${NEO_WINDOWS_RUNTIME} ${CMAKE_BINARY_DIR}/cross/windows/neo_rt.def
          -Wl,--out-implib,${NEO_WINDOWS_DIR}/libneo_rt.dll.a -lpthread -o ${NEO_WINDOWS_DIR}/neo_rt.dll
  DEPENDS ${NEO_WINDOWS_RUNTIME} ${CMAKE_BINARY_DIR}/cross/windows/neo_rt.def VERBATIM)
add_custom_command(OUTPUT ${NEO_WINDOWS_DIR}/run_model.exe
  COMMAND ${link} -Wl,--stack,8388608 ${example} ${NEO_WINDOWS_DIR}/libneo_rt.dll.a -lpthread -o ${NEO_WINDOWS_DIR}/run_model.exe
  DEPENDS ${example} ${NEO_WINDOWS_DIR}/libneo_rt.dll.a VERBATIM)
add_custom_command(OUTPUT ${NEO_WINDOWS_DIR}/neo-run.exe
  COMMAND ${link} -Wl,--stack,8388608 ${neo_run} ${NEO_WINDOWS_RUNTIME} -lpthread -o ${NEO_WINDOWS_DIR}/neo-run.exe
  DEPENDS ${neo_run} ${NEO_WINDOWS_RUNTIME} VERBATIM)

add_custom_target(neo-windows ALL DEPENDS ${NEO_WINDOWS_DIR}/neo_rt.dll ${NEO_WINDOWS_DIR}/run_model.exe ${NEO_WINDOWS_DIR}/neo-run.exe)
