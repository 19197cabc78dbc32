# libneo_rt: what an application links to run artifacts, as a shared library that exports neo_rt_* only and as an archive
# that needs nothing else of Neo. Made of the objects of runtime/ and base/core.
set(neo_rt_objects $<TARGET_OBJECTS:neo_runtime> $<TARGET_OBJECTS:neo_base_core>)
add_library(neo_rt SHARED ${neo_rt_objects})
add_library(neo_rt_archive STATIC ${neo_rt_objects})
foreach(library neo_rt neo_rt_archive)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME neo_rt LINKER_LANGUAGE C
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  target_include_directories(${library} INTERFACE ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(${library} PUBLIC Threads::Threads OpenMP::OpenMP_C ${CMAKE_DL_LIBS} m)
  add_dependencies(${library} neo_runtime neo_base_core)
endforeach()
set_target_properties(neo_rt PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/neo_rt.map)
target_link_options(neo_rt PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/runtime/neo_rt.map)

add_executable(run_model ${CMAKE_SOURCE_DIR}/examples/run_model.c)
target_link_libraries(run_model PRIVATE neo_rt)
add_executable(neo-run ${CMAKE_SOURCE_DIR}/examples/neo_run.c)
target_link_libraries(neo-run PRIVATE neo_rt_archive)
include(${CMAKE_CURRENT_LIST_DIR}/windows/build.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/hexagon/build.cmake)
