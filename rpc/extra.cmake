# neo-board: the agent. Its main is not part of the library.
get_target_property(neo_rpc_sources neo_rpc SOURCES)
list(FILTER neo_rpc_sources EXCLUDE REGEX "board_main\\.c$")
set_property(TARGET neo_rpc PROPERTY SOURCES ${neo_rpc_sources})
add_executable(neo-board ${CMAKE_SOURCE_DIR}/rpc/board_main.c)
target_link_libraries(neo-board PRIVATE neo_rpc)

include(${CMAKE_CURRENT_LIST_DIR}/cross_board.cmake)
neo_cross_board(aarch64)
