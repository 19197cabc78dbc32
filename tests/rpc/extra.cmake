# Candidates as objects (see tests/runtime/extra.cmake for neo_test_kernel).
set(neo_test_kernels)
neo_test_kernel(rpc candidates)
neo_test_kernel(rpc caches_in_static)
add_custom_target(rpc_test_kernels ALL DEPENDS ${neo_test_kernels})
add_dependencies(test_board rpc_test_kernels neo-board)
neo_wrap_malloc(test_job)
