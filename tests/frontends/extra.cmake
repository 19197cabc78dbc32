# The fuzz targets of model files and graph texts, as in tests/schedule/extra.cmake.
foreach(target onnx graph torch tensorflow bundle xgboost keras tflite mxnet)
  add_executable(replay_${target} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_replay.c ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${target}.c)
  target_link_libraries(replay_${target} neo_frontends m)
  set_target_properties(replay_${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME frontends/replay_${target}
           COMMAND replay_${target} ${CMAKE_SOURCE_DIR}/tests/data/fuzz/${target} 300)
  set_tests_properties(frontends/replay_${target} PROPERTIES TIMEOUT 300 LABELS frontends
                       ENVIRONMENT "ASAN_OPTIONS=allocator_may_return_null=1")
  if(NEO_FUZZ)
    add_executable(fuzz_${target} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${target}.c)
    target_compile_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${target} neo_frontends m)
  endif()
endforeach()

# docs/OPERATORS.md is what the tables say.
find_program(PYTHON3 python3 REQUIRED)
add_test(NAME frontends/operators_doc
         COMMAND ${PYTHON3} -B ${CMAKE_SOURCE_DIR}/tests/tools/operators_doc.py ${CMAKE_SOURCE_DIR} --check)
set_tests_properties(frontends/operators_doc PROPERTIES LABELS frontends)
