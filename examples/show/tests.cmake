# SPDX-License-Identifier: MIT
# What is printed must be what the library says, for every format, and to the letter for a few.
if(NOT QUIRE_BUILD_TESTS)
  return()
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter)

function(quire_check_show name)
  add_test(NAME show.${name} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/show/check.py
                                     $<TARGET_FILE:show> ${name} ${ARGN})
  set_tests_properties(show.${name} PROPERTIES LABELS unit TIMEOUT 300 SKIP_RETURN_CODE 77)
endfunction()

quire_check_show(every)
quire_check_show(golden ${CMAKE_CURRENT_SOURCE_DIR}/show/golden.txt)
quire_check_show(image)
quire_check_show(refusals)
