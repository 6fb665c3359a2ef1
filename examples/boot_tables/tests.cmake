# SPDX-License-Identifier: MIT
# What the compiler built must be what is built at run time, and must lie finished in the object file.
if(NOT QUIRE_BUILD_TESTS)
  return()
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter)

add_test(NAME boot_tables.run COMMAND boot_tables)
add_test(NAME boot_tables.object
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/boot_tables/check_object.py
                 $<TARGET_FILE:boot_tables> $<TARGET_OBJECTS:boot_table_data>)
set_tests_properties(boot_tables.run boot_tables.object PROPERTIES LABELS unit TIMEOUT 60 SKIP_RETURN_CODE 77)
