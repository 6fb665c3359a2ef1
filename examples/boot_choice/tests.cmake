# SPDX-License-Identifier: MIT
# The program must do as it says, and its machine code must be as it says.
if(NOT QUIRE_BUILD_TESTS)
  return()
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter)

add_test(NAME boot_choice.run COMMAND boot_choice)
add_test(NAME boot_choice.calls
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/boot_choice/check_calls.py
                 $<TARGET_FILE:boot_choice> $<TARGET_OBJECTS:boot_choice_hot>)
set_tests_properties(boot_choice.run boot_choice.calls PROPERTIES LABELS unit TIMEOUT 60 SKIP_RETURN_CODE 77)
