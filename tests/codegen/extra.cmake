# The tests load what they build with the runtime's loader.
foreach(name test_kernel_ops test_kernel_nests test_kernel_builds test_artifact)
  if(TARGET ${name})
    target_sources(${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c ${CMAKE_CURRENT_LIST_DIR}/kernel_visit.c)
    target_link_libraries(${name} neo_runtime)
  endif()
endforeach()
# CUDA C, compiled by NVRTC; skipped where it is not installed.
target_sources(test_cuda PRIVATE ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c)
target_link_libraries(test_cuda neo_runtime)
set_tests_properties(codegen/test_cuda PROPERTIES SKIP_RETURN_CODE 77)
# CUDA C as C++ for this processor; skipped where there is no g++.
target_sources(test_cuda_host PRIVATE ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c)
target_link_libraries(test_cuda_host neo_runtime)
set_tests_properties(codegen/test_cuda_host PROPERTIES SKIP_RETURN_CODE 77)
target_sources(test_wide PRIVATE ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c)
target_link_libraries(test_wide neo_runtime)
# The same tests on a GPU's driver; skipped where it is not installed.
foreach(name test_kernel_ops test_kernel_nests)
  add_executable(${name}_opencl ${CMAKE_CURRENT_LIST_DIR}/${name}.c ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c
                                   ${CMAKE_CURRENT_LIST_DIR}/kernel_visit.c)
  target_link_libraries(${name}_opencl neo_codegen neo_runtime PkgConfig::CMOCKA m)
  set_target_properties(${name}_opencl PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_definitions(${name}_opencl PRIVATE KERNEL_CASE_API="opencl" NEO_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME codegen/${name}_opencl COMMAND ${name}_opencl WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(codegen/${name}_opencl PROPERTIES TIMEOUT 1800 LABELS codegen SKIP_RETURN_CODE 77)
endforeach()

# The same cases on boards of other architectures, emulated; one program per suite, one table of targets.
foreach(suite ops nests)
  set(name test_emulated_${suite})
  add_executable(${name} ${CMAKE_CURRENT_LIST_DIR}/test_kernel_${suite}.c ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c
                         ${CMAKE_CURRENT_LIST_DIR}/kernel_visit_emulated.c)
  target_link_libraries(${name} neo_codegen neo_rpc PkgConfig::CMOCKA m)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_definitions(${name} PRIVATE NEO_SOURCE_DIR="${CMAKE_SOURCE_DIR}" NEO_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME codegen/${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(codegen/${name} PROPERTIES TIMEOUT 1800 LABELS codegen SKIP_RETURN_CODE 77)
  neo_needs_emulated_boards(${name})
endforeach()
