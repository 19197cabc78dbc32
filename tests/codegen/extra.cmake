# The tests load what they build with the runtime's loader.
foreach(name test_ops test_nests test_builds)
  if(TARGET ${name})
    target_sources(${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/kernel_case.c)
    target_link_libraries(${name} neo_runtime)
  endif()
endforeach()
