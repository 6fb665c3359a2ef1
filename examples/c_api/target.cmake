# SPDX-License-Identifier: MIT
# A C program, linked by the C compiler: the C++ file brings no library of its own along.

include(CheckLanguage)
check_language(C)
if(NOT CMAKE_C_COMPILER)
  message(STATUS "quire: no C compiler, so no example c_api")
  return()
endif()
enable_language(C)

add_library(guest_table OBJECT c_api/guest_table.cpp)
target_compile_options(guest_table PRIVATE -fno-exceptions -fno-rtti)
target_link_libraries(guest_table PRIVATE quire::core)
quire_strict(guest_table)

add_executable(c_api c_api/main.c c_api/fake_kernel.c)
target_link_libraries(c_api PRIVATE guest_table)
target_compile_options(
  c_api
  PRIVATE -Wall
          -Wextra
          -Wpedantic
          -Wconversion
          -Wsign-conversion
          -Wshadow
          -Wcast-qual
          -Wstrict-prototypes
          -Wmissing-prototypes
          -Wold-style-definition
          -Werror)
set_target_properties(
  c_api
  PROPERTIES C_STANDARD 11
             C_STANDARD_REQUIRED ON
             C_EXTENSIONS OFF
             LINKER_LANGUAGE C)

if(QUIRE_BUILD_TESTS)
  include(c_api/tests.cmake)
endif()
