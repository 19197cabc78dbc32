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
        TIMEOUT 60 ENVIRONMENT "LD_PRELOAD=$<TARGET_FILE:malloc_counter>")
    endforeach()
  endforeach()
endif()

# neo_fuzz_target(folder layer name rounds): tests/fuzz/fuzz_name.c as a replay of its corpus with random changes, and
# with clang and -DNEO_FUZZ=ON as a libFuzzer program.
macro(neo_fuzz_target folder layer name rounds)
  add_executable(replay_${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_replay.c ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${name}.c)
  target_link_libraries(replay_${name} neo_${layer} m)
  set_target_properties(replay_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${folder}/replay_${name} COMMAND replay_${name} ${CMAKE_SOURCE_DIR}/tests/data/fuzz/${name} ${rounds})
  set_tests_properties(${folder}/replay_${name} PROPERTIES TIMEOUT 300 LABELS ${folder})
  if(NEO_FUZZ)
    add_executable(fuzz_${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${name}.c)
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${name} neo_${layer} m)
  endif()
endmacro()
neo_fuzz_target(runtime runtime plan 20000)
neo_fuzz_target(runtime runtime elf 3000)
