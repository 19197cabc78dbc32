add_executable(tampering-board ${CMAKE_CURRENT_LIST_DIR}/tampering_board.c)
target_link_libraries(tampering-board neo_rpc neo_base_host)
set_target_properties(tampering-board PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_dependencies(test_local tampering-board neo-board)
