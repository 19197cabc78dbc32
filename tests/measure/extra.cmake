# The local measurer's other end.
add_dependencies(test_incumbent neo-board)
