# The readers of protobuf formats: protoc-c turns our minimal .proto files into C at build time.
find_program(PROTOC_C NAMES protoc-c REQUIRED)
set(readers_pb ${CMAKE_BINARY_DIR}/generated/frontends)
file(MAKE_DIRECTORY ${readers_pb})
set(readers_pb_sources "")
foreach(format onnx tensorflow)
  add_custom_command(
    OUTPUT ${readers_pb}/${format}.pb-c.c ${readers_pb}/${format}.pb-c.h
    COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/frontends --c_out=${readers_pb} ${format}.proto
    DEPENDS ${CMAKE_SOURCE_DIR}/frontends/${format}.proto
    VERBATIM)
  list(APPEND readers_pb_sources ${readers_pb}/${format}.pb-c.c ${readers_pb}/${format}.pb-c.h)
endforeach()
add_library(neo_onnx_pb OBJECT ${readers_pb_sources})
target_include_directories(neo_onnx_pb PUBLIC ${readers_pb})
target_link_libraries(neo_onnx_pb PUBLIC PkgConfig::PROTOBUFC)
get_target_property(frontends_type neo_frontends TYPE)
if(frontends_type STREQUAL "STATIC_LIBRARY")
  target_sources(neo_frontends PRIVATE $<TARGET_OBJECTS:neo_onnx_pb>)
  target_include_directories(neo_frontends PRIVATE ${readers_pb})
  add_dependencies(neo_frontends neo_onnx_pb)
endif()
