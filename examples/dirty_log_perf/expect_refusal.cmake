# SPDX-License-Identifier: MIT
# Fails unless COMMAND ends with status 2 and says MESSAGE on standard error.
execute_process(COMMAND ${COMMAND} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE complained)
if(NOT status EQUAL 2 OR NOT complained MATCHES "${MESSAGE}")
  message(FATAL_ERROR "status ${status}, not 2; or not \"${MESSAGE}\" in:\n${complained}${said}")
endif()
