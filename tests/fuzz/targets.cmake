# The fuzz targets: one per reader and parser. Every build replays what is stored in tests/data/fuzz/NAME, whole, cut short
# and with ROUNDS random changes each, as the ordinary test fuzz/NAME. With clang and -DNEO_FUZZ=ON (preset fuzz) each is a
# libFuzzer program bin/fuzz_NAME, too: scripts/fuzz.sh.
#
#   name          layer      source        rounds
set(neo_fuzz_targets
    onnx          frontends  model         300
    tensorflow    frontends  model         300
    savedmodel    frontends  savedmodel    300
    bundle        frontends  bundle        1000
    keras         frontends  model         150
    tflite        frontends  model         600
    xgboost       frontends  model         300
    torch         frontends  torch         500
    torch_export  frontends  torch_export  300
    mxnet         frontends  mxnet         300
    tarball       frontends  model         150
    graph         ir         graph         1000
    te            ir         te            400
    npy           ir         npy           1000
    target        target     target_text   3000
    schedule      schedule   schedule      3000
    nest          schedule   nest          3000
    plan          runtime    plan          20000
    params        runtime    params        3000
    elf           runtime    elf           3000
    coff          runtime    coff          3000
    frame         rpc        frame         20000
    records       tuning_db  records       300
    cost_model    search     cost_model    3000
    json          base_host  json          3000
    image         image      image         1000
    shape         cli        shape         3000)

set(neo_fuzzers)
while(neo_fuzz_targets)
  list(POP_FRONT neo_fuzz_targets name layer source rounds)
  set(source ${CMAKE_CURRENT_LIST_DIR}/fuzz_${source}.c)
  set(stored ${CMAKE_SOURCE_DIR}/tests/data/fuzz/${name})
  if(NEO_FUZZ)
    add_executable(fuzz_${name} ${source})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${name} neo_${layer} m)
    list(APPEND neo_fuzzers fuzz_${name})
  endif()
  add_executable(replay_${name} ${CMAKE_CURRENT_LIST_DIR}/fuzz_replay.c ${source})
  target_link_libraries(replay_${name} neo_${layer} m)
  set_target_properties(replay_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME fuzz/${name} COMMAND replay_${name} ${stored} ${rounds})
  set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT 300 LABELS fuzz
                       ENVIRONMENT "ASAN_OPTIONS=allocator_may_return_null=1")
endwhile()
if(NEO_FUZZ)
  add_custom_target(fuzzers DEPENDS ${neo_fuzzers})
endif()
