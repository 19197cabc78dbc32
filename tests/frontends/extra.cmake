# docs/OPERATORS.md is what the tables say.
find_program(PYTHON3 python3 REQUIRED)
add_test(NAME frontends/operators_doc
         COMMAND ${PYTHON3} -B ${CMAKE_SOURCE_DIR}/tests/tools/operators_doc.py ${CMAKE_SOURCE_DIR} --check)
set_tests_properties(frontends/operators_doc PROPERTIES LABELS frontends)
add_dependencies(test_onnx_node neo_rt_image)
