# SPDX-License-Identifier: MIT
# Fails unless PROGRAM knows just the formats that FORMATS prints, in that order, and says of each that 64 KiB have a
# dirty bitmap of one word.
execute_process(COMMAND ${FORMATS} OUTPUT_VARIABLE table COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${PROGRAM} --formats OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "\n[a-z0-9-]+" wanted "${table}")
string(REPLACE "\n" ";" names "\n${names}")
list(JOIN wanted "" wanted)
string(REPLACE "\n" ";" wanted "${wanted};")
if(NOT names STREQUAL wanted)
  message(FATAL_ERROR "it knows\n${names}\nnot\n${wanted}")
endif()
foreach(name IN LISTS names)
  if(NOT name)
    continue()
  endif()
  execute_process(COMMAND ${PROGRAM} --format ${name} --region 0x10000:64K --json OUTPUT_VARIABLE told
                                                                               COMMAND_ERROR_IS_FATAL ANY)
  string(JSON bytes GET ${told} dirty_bitmap_bytes)
  string(JSON format GET ${told} format)
  if(NOT bytes EQUAL 8 OR NOT format STREQUAL name)
    message(FATAL_ERROR "${name}: ${told}")
  endif()
endforeach()
