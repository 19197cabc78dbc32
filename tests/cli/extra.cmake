# The programs as their users meet them: killed, without space, with odd arguments.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
foreach(script kill_tune kill_compile full_disk commands neutral_names doctor)
  add_test(NAME cli/${script} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/${script}.py ${CMAKE_BINARY_DIR}/bin)
  set_tests_properties(cli/${script} PROPERTIES TIMEOUT 1800 LABELS cli ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
endforeach()
# Whole models by the other code generators. No driver of others under sanitizers (tests/foreign_driver.h).
set(generators c)
if(NOT NEO_SANITIZE)
  list(APPEND generators opencl)
endif()
foreach(generator ${generators})
  add_test(NAME cli/generator_models_${generator} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/generator_models.py
           ${CMAKE_BINARY_DIR}/bin ${CMAKE_SOURCE_DIR} ${generator})
  set_tests_properties(cli/generator_models_${generator} PROPERTIES TIMEOUT 1800 LABELS cli SKIP_RETURN_CODE 77
                       ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
endforeach()
# Whole models for other processors, under qemu; scripts/cross.sh runs all of them.
add_test(NAME cli/cross_models COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/cross_models.py ${CMAKE_BINARY_DIR}/bin ${CMAKE_SOURCE_DIR})
set_tests_properties(cli/cross_models PROPERTIES TIMEOUT 1800 LABELS cli SKIP_RETURN_CODE 77 ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
# Whole models under wine; the prefix that the test makes takes a few hundred megabytes while it runs.
add_test(NAME cli/windows_models COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/windows_models.py
         ${CMAKE_BINARY_DIR}/bin ${CMAKE_SOURCE_DIR} ${WINE_PROGRAM})
set_tests_properties(cli/windows_models PROPERTIES TIMEOUT 1800 LABELS cli SKIP_RETURN_CODE 77 ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
# The kernels as C files, built by other compilers.
add_test(NAME cli/c_sources COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/c_sources.py ${CMAKE_BINARY_DIR}/bin ${CMAKE_SOURCE_DIR})
set_tests_properties(cli/c_sources PROPERTIES TIMEOUT 1800 LABELS cli ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
add_test(NAME cli/interrupt COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/interrupt.py ${CMAKE_BINARY_DIR}/bin ${CMAKE_SOURCE_DIR})
set_tests_properties(cli/interrupt PROPERTIES TIMEOUT 1800 LABELS cli ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
add_test(NAME cli/install_deps COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/install_deps.py ${CMAKE_SOURCE_DIR})
set_tests_properties(cli/install_deps PROPERTIES LABELS cli ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
# Agents of other processors and of Windows over TLS.
foreach(emulator qemu wine)
  add_test(NAME cli/network_agents_${emulator} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/network_agents.py
           ${CMAKE_BINARY_DIR}/bin ${CMAKE_SOURCE_DIR} ${emulator} "${WINE_PROGRAM}")
  set_tests_properties(cli/network_agents_${emulator} PROPERTIES TIMEOUT 1800 LABELS cli SKIP_RETURN_CODE 77 ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
endforeach()
