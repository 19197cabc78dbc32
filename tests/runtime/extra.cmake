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
