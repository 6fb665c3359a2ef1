# SPDX-License-Identifier: MIT
# Every format of ./dev formats, a few to a source: the names are those of tests/support/formats.hpp, and where only some
# are built (QUIRE_TEST_FORMATS), those.
set(show_list ${PROJECT_SOURCE_DIR}/tests/support/formats.hpp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${show_list})
file(READ ${show_list} show_formats)
string(REGEX MATCHALL "\"[a-z0-9-]+\">" show_formats "${show_formats}")
list(TRANSFORM show_formats REPLACE "[\">]" "")
list(FILTER show_formats EXCLUDE REGEX "^(tiny-.*|exercise)$")
if(QUIRE_TEST_FORMATS)
  list(FILTER show_formats INCLUDE REGEX "^(${QUIRE_TEST_FORMATS})$")
endif()
if(NOT show_formats)
  return()
endif()

set(show_sources show/main.cpp)
list(LENGTH show_formats count)
math(EXPR last "${count} - 1")
foreach(first RANGE 0 ${last} 8)
  list(SUBLIST show_formats ${first} 8 some)
  list(TRANSFORM some REPLACE "(.+)" "show::add_format<\"\\1\">()")
  list(JOIN some " && " calls)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/show_formats/${first}.cpp)
  configure_file(show/formats.cpp.in ${source} @ONLY)
  list(APPEND show_sources ${source})
endforeach()

quire_add_example(show ${show_sources})
target_include_directories(show PRIVATE show ${PROJECT_SOURCE_DIR}/tests)
# It runs for milliseconds and takes minutes to compile for speed.
target_compile_options(show PRIVATE ${QUIRE_TEST_FLAGS})
