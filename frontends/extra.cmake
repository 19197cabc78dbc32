# The ONNX reader: protoc-c turns our minimal onnx.proto into C at build time.
find_program(PROTOC_C NAMES protoc-c REQUIRED)
set(onnx_pb ${CMAKE_BINARY_DIR}/generated/frontends)
file(MAKE_DIRECTORY ${onnx_pb})
add_custom_command(
  OUTPUT ${onnx_pb}/onnx.pb-c.c ${onnx_pb}/onnx.pb-c.h
  COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/frontends --c_out=${onnx_pb} onnx.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/frontends/onnx.proto
  VERBATIM)
add_library(neo_onnx_pb OBJECT ${onnx_pb}/onnx.pb-c.c ${onnx_pb}/onnx.pb-c.h)
target_include_directories(neo_onnx_pb PUBLIC ${onnx_pb})
target_link_libraries(neo_onnx_pb PUBLIC PkgConfig::PROTOBUFC)
get_target_property(frontends_type neo_frontends TYPE)
if(frontends_type STREQUAL "STATIC_LIBRARY")
  target_sources(neo_frontends PRIVATE $<TARGET_OBJECTS:neo_onnx_pb>)
  target_include_directories(neo_frontends PRIVATE ${onnx_pb})
  add_dependencies(neo_frontends neo_onnx_pb)
endif()
