# The tests load what they build with the runtime's loader.
foreach(name test_kernel_ops test_kernel_nests test_kernel_builds test_artifact)
  if(TARGET ${name})
    target_sources(${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c)
    target_link_libraries(${name} neo_runtime)
  endif()
endforeach()
