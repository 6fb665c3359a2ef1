# SPDX-License-Identifier: MIT
# Fails unless EXECUTABLE (a Catch2 program, perhaps after the program that runs it) lists at least
# one test case.
cmake_policy(VERSION 3.25)
list(REMOVE_ITEM EXECUTABLE "")
execute_process(COMMAND ${EXECUTABLE} --list-tests OUTPUT_VARIABLE listing RESULT_VARIABLE result)
if(NOT listing MATCHES "[1-9][0-9]* test case")
  message(FATAL_ERROR "${EXECUTABLE} registers no test case (result ${result}):\n${listing}")
endif()
