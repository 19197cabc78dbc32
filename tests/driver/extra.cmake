add_dependencies(test_tune_local tampering-board neo-board)
if(TARGET neo-board-aarch64)
  add_dependencies(test_tune_emulated neo-board-aarch64 neo-count)
endif()
