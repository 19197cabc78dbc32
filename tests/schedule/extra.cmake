# The fuzz targets of the text forms: with clang and -DNEO_FUZZ=ON as libFuzzer programs, always as replays of
# their corpora with random changes.
foreach(target schedule nest)
  add_executable(replay_${target} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_replay.c ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${target}.c)
  target_link_libraries(replay_${target} neo_schedule m)
  set_target_properties(replay_${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME schedule/replay_${target}
           COMMAND replay_${target} ${CMAKE_SOURCE_DIR}/tests/data/fuzz/${target} 3000)
  set_tests_properties(schedule/replay_${target} PROPERTIES TIMEOUT 300 LABELS schedule)
  if(NEO_FUZZ)
    add_executable(fuzz_${target} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${target}.c)
    target_compile_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${target} neo_schedule m)
  endif()
endforeach()

# Candidates as machine code: this test alone links code generators and the loader.
target_link_libraries(test_space_kernels neo_codegen neo_runtime ${CMAKE_DL_LIBS})
