# libneo_rt_image: the decoders as a library beside libneo_rt, which loads it when a model decodes pictures
# (base/core/image_library.c). It exports one symbol.
add_library(neo_rt_image MODULE $<TARGET_OBJECTS:neo_image> $<TARGET_OBJECTS:neo_base_core>)
set_target_properties(neo_rt_image PROPERTIES LINKER_LANGUAGE C LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib
  LINK_DEPENDS ${CMAKE_SOURCE_DIR}/image/neo_rt_image.map)
target_link_options(neo_rt_image PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/image/neo_rt_image.map)
target_link_libraries(neo_rt_image PRIVATE ${neo_image_libraries} Threads::Threads m)
add_dependencies(neo_rt_image neo_image neo_base_core)
