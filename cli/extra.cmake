add_executable(neo ${CMAKE_SOURCE_DIR}/cli/main/neo_main.c)
target_link_libraries(neo neo_cli)
add_executable(neo-tune ${CMAKE_SOURCE_DIR}/cli/main/neo_tune_main.c)
target_link_libraries(neo-tune neo_cli)
