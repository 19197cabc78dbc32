# Candidates as machine code: these tests alone link code generators and the loader.
target_link_libraries(test_space_kernels neo_codegen neo_runtime ${CMAKE_DL_LIBS})
target_link_libraries(test_space_gpu neo_codegen neo_runtime)
