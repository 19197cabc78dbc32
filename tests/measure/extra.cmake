add_executable(tampering-board ${CMAKE_CURRENT_LIST_DIR}/tampering_board.c)
target_link_libraries(tampering-board neo_rpc neo_base_host)
set_target_properties(tampering-board PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_dependencies(test_local tampering-board neo-board)
# Boards of other architectures, emulated; the tests skip where the board could not be built.
if(TARGET neo-board-aarch64)
  add_dependencies(test_emulated_kernels neo-board-aarch64)
endif()
