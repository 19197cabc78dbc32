add_dependencies(test_tune_local tampering-board neo-board)
