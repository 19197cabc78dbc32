# Each gate is a test of its own; the self-test plants a violation for each. No exceptions exist.
find_program(PYTHON3 python3 REQUIRED)
set(gates ${CMAKE_CURRENT_SOURCE_DIR}/gates)
execute_process(COMMAND ${PYTHON3} -B ${gates}/gates.py --list
                OUTPUT_VARIABLE gate_names OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(gate_names)
foreach(gate ${gate_names})
  add_test(NAME gates/${gate} COMMAND ${PYTHON3} -B ${gates}/gates.py ${gate} ${CMAKE_SOURCE_DIR})
  set_tests_properties(gates/${gate} PROPERTIES LABELS gates TIMEOUT 900
                       ENVIRONMENT "NEO_GATE_INCLUDES=${LLVM_INCLUDE}:${CMAKE_BINARY_DIR}/generated/frontends")
endforeach()
add_test(NAME gates/selftest COMMAND ${PYTHON3} -B ${gates}/selftest.py ${CMAKE_SOURCE_DIR})
set_tests_properties(gates/selftest PROPERTIES LABELS gates TIMEOUT 900)
