# Candidates as machine code: this test alone links code generators and the loader.
target_link_libraries(test_space_kernels neo_codegen neo_runtime ${CMAKE_DL_LIBS})
