# SPDX-License-Identifier: MIT
# Fails unless COMMAND ends with STATUS, prints what stands in FILE (if given) and complains of MESSAGE, a regular
# expression (if given).
execute_process(COMMAND ${COMMAND} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE complained)
if(NOT status EQUAL STATUS)
  message(FATAL_ERROR "status ${status}, not ${STATUS}:\n${complained}${said}")
endif()
if(FILE)
  file(READ ${FILE} wanted)
  if(NOT said STREQUAL wanted)
    list(JOIN COMMAND " " command)
    message(FATAL_ERROR "not what stands in ${FILE} (write it by: ${command}):\n${said}")
  endif()
endif()
if(MESSAGE AND NOT complained MATCHES "${MESSAGE}")
  message(FATAL_ERROR "no \"${MESSAGE}\" in:\n${complained}")
endif()
