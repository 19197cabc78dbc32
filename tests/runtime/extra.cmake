# Kernels for the tests: plain relocatable objects, compiled without the build's own flags (sanitizers, coverage), as
# a code generator would make them. neo_test_kernel(folder name [clang target]) -> build/tests/kernels/name.o
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/tests/kernels)
set(neo_kernel_flags -std=c17 -O1 -ffreestanding -fPIC -fvisibility=hidden -fno-stack-protector
    -fno-asynchronous-unwind-tables -I${CMAKE_SOURCE_DIR}/include)
set(neo_test_kernels)
macro(neo_test_kernel folder name)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/tests/kernels/${name}.o
    COMMAND ${CMAKE_C_COMPILER} ${neo_kernel_flags} ${neo_kernel_flags_${name}} -c ${CMAKE_SOURCE_DIR}/tests/${folder}/kernels/${name}.c
            -o ${CMAKE_BINARY_DIR}/tests/kernels/${name}.o
    DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/kernels/${name}.c ${CMAKE_SOURCE_DIR}/include/neo/abi.h VERBATIM)
  list(APPEND neo_test_kernels ${CMAKE_BINARY_DIR}/tests/kernels/${name}.o)
endmacro()
set(neo_kernel_flags_absolute -fno-pic -mcmodel=small)
foreach(name scale many_relocations keeps_state imports absolute)
  neo_test_kernel(runtime ${name})
endforeach()
add_custom_target(runtime_test_kernels ALL DEPENDS ${neo_test_kernels})
add_dependencies(test_elf_load runtime_test_kernels)

# Tiny artifacts, written by hand: build/tests/tiny/<variant>/{compiled.so,compiled.params}
add_executable(make_tiny ${CMAKE_SOURCE_DIR}/tests/runtime/tiny/make_tiny.c)
target_link_libraries(make_tiny neo_runtime)
set_target_properties(make_tiny PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
set(neo_tiny_files)
macro(neo_tiny name variant)
  set(dir ${CMAKE_BINARY_DIR}/tests/tiny/${name})
  file(MAKE_DIRECTORY ${dir})
  add_custom_command(OUTPUT ${dir}/compiled.so
    COMMAND make_tiny ${variant} ${dir}
    COMMAND ${CMAKE_C_COMPILER} -std=c17 -O1 -ffreestanding -fPIC -shared -nostdlib -fvisibility=hidden ${ARGN}
            -I${CMAKE_SOURCE_DIR}/include -I${dir} ${CMAKE_SOURCE_DIR}/tests/runtime/tiny/tiny.c -o ${dir}/compiled.so
    DEPENDS make_tiny ${CMAKE_SOURCE_DIR}/tests/runtime/tiny/tiny.c ${CMAKE_SOURCE_DIR}/include/neo/abi.h VERBATIM)
  list(APPEND neo_tiny_files ${dir}/compiled.so)
endmacro()
neo_tiny(good good)
neo_tiny(second good)
neo_tiny(foreign foreign)
neo_tiny(isa isa)
neo_tiny(nan_op nan_op)
neo_tiny(shapes shapes)
neo_tiny(device device -DTINY_DEVICE)
neo_tiny(magic good -DTINY_MAGIC=1)
neo_tiny(abi good -DTINY_ABI=99)
add_custom_target(runtime_tiny_artifacts ALL DEPENDS ${neo_tiny_files})
add_dependencies(test_session runtime_tiny_artifacts)
add_dependencies(test_session_shapes runtime_tiny_artifacts)
add_dependencies(test_library runtime_tiny_artifacts)
neo_wrap_malloc(test_session)
target_link_libraries(test_session ${CMAKE_DL_LIBS})

# libneo_rt itself, as an application sees it: what it exports, the example, and that runs do not allocate.
add_dependencies(test_library neo_rt run_model)
if(NOT NEO_SANITIZE) # a preloaded malloc and the sanitizers' exclude each other
  add_library(malloc_counter SHARED ${CMAKE_SOURCE_DIR}/tests/runtime/tiny/malloc_counter.c)
  add_executable(run_counted ${CMAKE_SOURCE_DIR}/tests/runtime/tiny/run_counted.c)
  target_link_libraries(run_counted neo_rt ${CMAKE_DL_LIBS})
  set_target_properties(run_counted malloc_counter PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  foreach(pool 1 2)
    foreach(threads 1 2 5)
      add_test(NAME runtime/no_allocation_in_runs_pool${pool}_threads${threads}
               COMMAND run_counted ${CMAKE_BINARY_DIR}/tests/tiny/good ${pool} ${threads})
      set_tests_properties(runtime/no_allocation_in_runs_pool${pool}_threads${threads} PROPERTIES LABELS runtime
        TIMEOUT 300 ENVIRONMENT "LD_PRELOAD=$<TARGET_FILE:malloc_counter>")
    endforeach()
  endforeach()
endif()
# A libcuda that checks all arguments; the test finds it where the system's would be.
add_library(fake_cuda SHARED ${CMAKE_CURRENT_LIST_DIR}/cuda/fake_cuda.c)
set_target_properties(fake_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/cuda OUTPUT_NAME cuda SOVERSION 1)
add_dependencies(test_device_cuda fake_cuda runtime_tiny_artifacts)
target_link_libraries(test_device_cuda ${CMAKE_DL_LIBS})
set_tests_properties(runtime/test_device_cuda PROPERTIES ENVIRONMENT "LD_LIBRARY_PATH=${CMAKE_BINARY_DIR}/tests/cuda;ASAN_OPTIONS=allocator_may_return_null=1")
set_tests_properties(runtime/test_device_opencl PROPERTIES SKIP_RETURN_CODE 77)

# The C library of the programs for Hexagon against this machine's.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_executable(libc_check ${CMAKE_SOURCE_DIR}/tests/runtime/hexagon/libc_check.c)
target_compile_options(libc_check PRIVATE -fno-builtin -fno-sanitize=all)
target_link_options(libc_check PRIVATE -fno-sanitize=all)
target_link_libraries(libc_check Threads::Threads m)
set_target_properties(libc_check PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME runtime/hexagon_libc COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/hexagon/libc_compare.py
         $<TARGET_FILE:libc_check> ${CMAKE_BINARY_DIR}/tests/libc_check_hexagon)
set_tests_properties(runtime/hexagon_libc PROPERTIES TIMEOUT 600 LABELS runtime SKIP_RETURN_CODE 77 ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")

# Where libraries are looked for on Windows; cli/network_agents runs it under wine.
if(MINGW_CC)
  neo_windows_objects(objects tests/runtime/windows_library.c)
  set(program ${CMAKE_BINARY_DIR}/tests/windows_library.exe)
  add_custom_command(OUTPUT ${program}
    COMMAND ${MINGW_CC} -static -s ${objects} ${NEO_WINDOWS_RUNTIME} -lpthread -o ${program}
    DEPENDS ${objects} ${NEO_WINDOWS_RUNTIME} VERBATIM)
  add_custom_target(windows_library ALL DEPENDS ${program})
  add_dependencies(windows_library neo-windows)
endif()
