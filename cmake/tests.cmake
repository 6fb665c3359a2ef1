# SPDX-License-Identifier: MIT
# How tests are declared. Included by tests/CMakeLists.txt only.

find_package(Python3 REQUIRED COMPONENTS Interpreter)

set(QUIRE_TEST_FLAGS
    ""
    CACHE STRING "How tests are compiled that ask for nothing: most take longer to compile than to run")

if(QUIRE_TEST_GROUPS MATCHES "unit|threads|explore")
  find_package(Catch2 CONFIG REQUIRED)
  include(Catch)

  # What every test gets. Contracts at level 2: tests are what the audits are there for.
  add_library(quire_test_base INTERFACE)
  target_include_directories(quire_test_base INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(quire_test_base INTERFACE QUIRE_CONTRACTS=2)
  target_link_libraries(quire_test_base INTERFACE quire::hosted Catch2::Catch2 Threads::Threads)

  # Catch2's main and its precompiled header: the two slow parts of a small test, compiled once.
  add_library(quire_test_main OBJECT main.cpp)
  target_link_libraries(quire_test_main PUBLIC quire_test_base)
  target_compile_options(quire_test_main PRIVATE ${QUIRE_TEST_FLAGS})
  target_precompile_headers(quire_test_main PRIVATE catch.hpp)
  quire_strict(quire_test_main)
  if(TARGET Catch2::Catch2WithMain)
    target_link_libraries(quire_test_base INTERFACE Catch2::Catch2WithMain)
  endif()
endif()

# The formats that the suite is compiled for: the names in tests/support/formats.hpp that match QUIRE_TEST_FORMATS.
set(QUIRE_TEST_FORMATS
    ""
    CACHE STRING "Regular expression of the formats whose suite is built; empty: every one")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/support/formats.hpp)
file(READ support/formats.hpp quire_test_formats)
string(REGEX MATCHALL "\"[a-z0-9-]+\">" quire_test_formats "${quire_test_formats}")
list(TRANSFORM quire_test_formats REPLACE "[\">]" "")
if(QUIRE_TEST_FORMATS)
  list(FILTER quire_test_formats INCLUDE REGEX "^(${QUIRE_TEST_FORMATS})$")
  list(TRANSFORM quire_test_formats REPLACE "(.+)" "\"\\1\"" OUTPUT_VARIABLE quoted)
  list(JOIN quoted "," quoted)
  if(TARGET quire_test_base)
    target_compile_definitions(quire_test_base INTERFACE "QUIRE_TEST_FORMATS=${quoted}")
  endif()
endif()

# quire_add_test(NAME [SOURCES...] [THREADS | EXPLORES] [FLAGS ...] [DEFINITIONS ...] [LIBRARIES ...]
#                [TIMEOUT SECONDS] [FOR_EACH_FORMAT TEMPLATE] [PRECOMPILE HEADER])
#
# One executable. Its test cases become the tests "<directory>.NAME/<test case>".
#   SOURCES    default: NAME.cpp
#   FOR_EACH_FORMAT   a template of a source, made once for each format of the suite with @format@ its name
#   THREADS    worth running under the thread sanitizer; these are the tests with label `threads`
#   EXPLORES   runs operations in all their orders: the same in every row, and long; label `explore`
#   FLAGS      compiled with these instead of QUIRE_TEST_FLAGS, and without the shared precompiled header: -O1, -O2 or
#              -Og where running takes longer than compiling
#   PRECOMPILE a header that most of the sources include, where it is worth it
#   TIMEOUT    of one test case; default 300
function(quire_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "THREADS;EXPLORES" "TIMEOUT;FOR_EACH_FORMAT;PRECOMPILE" "FLAGS;DEFINITIONS;LIBRARIES")
  set(sources ${arg_UNPARSED_ARGUMENTS})
  if(NOT sources)
    set(sources ${name}.cpp)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  set(group unit)
  if(arg_THREADS)
    set(group threads)
  elseif(arg_EXPLORES)
    set(group explore)
  endif()

  foreach(source IN LISTS sources)
    cmake_path(ABSOLUTE_PATH source)
    set_property(GLOBAL APPEND PROPERTY quire_listed_tests ${source})
  endforeach()
  if(NOT group IN_LIST QUIRE_TEST_GROUPS)
    return()
  endif()

  cmake_path(GET CMAKE_CURRENT_SOURCE_DIR FILENAME directory)
  set(target test_${directory}_${name})
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE quire_test_base quire_test_main ${arg_LIBRARIES})
  quire_strict(${target})
  if(arg_FOR_EACH_FORMAT)
    foreach(format IN LISTS quire_test_formats)
      set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}/${format}.cpp)
      configure_file(${arg_FOR_EACH_FORMAT} ${source} @ONLY)
      target_sources(${target} PRIVATE ${source})
    endforeach()
  endif()
  if(arg_FLAGS)
    target_compile_options(${target} PRIVATE ${arg_FLAGS})
  else()
    target_compile_options(${target} PRIVATE ${QUIRE_TEST_FLAGS})
  endif()
  target_compile_definitions(${target} PRIVATE ${arg_DEFINITIONS})
  if(arg_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${arg_PRECOMPILE})
  elseif(NOT arg_FLAGS AND NOT arg_DEFINITIONS)
    target_precompile_headers(${target} REUSE_FROM quire_test_main)
  endif()

  # Discovery would let an executable without test cases pass in silence.
  add_custom_command(
    TARGET ${target}
    POST_BUILD
    COMMAND ${CMAKE_COMMAND} -D "EXECUTABLE=${CMAKE_CROSSCOMPILING_EMULATOR};$<TARGET_FILE:${target}>"
            -P ${PROJECT_SOURCE_DIR}/cmake/require_tests.cmake
    VERBATIM)
  catch_discover_tests(
    ${target}
    TEST_PREFIX "${directory}.${name}/"
    PROPERTIES LABELS ${group} TIMEOUT ${arg_TIMEOUT})
endfunction()

# The lists kept by hand, compared with the files: a header not listed is not installed, a test not
# listed never runs. Called after every test was declared.
function(quire_add_list_tests)
  set(check ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/check_list.py)
  get_property(tests GLOBAL PROPERTY quire_listed_tests)
  add_test(NAME headers.listed COMMAND ${check} ${PROJECT_SOURCE_DIR} "include/**/*.hpp"
                                       ${quire_core_headers} ${quire_hosted_headers})
  add_test(NAME tests.listed COMMAND ${check} ${PROJECT_SOURCE_DIR} "tests/*/*.cpp" ${tests}
                                     --except tests/codegen tests/freestanding tests/single_header tests/support)
  set_tests_properties(headers.listed tests.listed PROPERTIES LABELS unit)
endfunction()

# Every header and the kernel-style instantiations, compiled with our warnings even where no test
# includes them; ./dev lint takes both files as what it analyses. Never linked.
function(quire_add_compiled_headers)
  set(text "// Generated: includes every public header.\n")
  foreach(header IN LISTS quire_core_headers quire_hosted_headers)
    string(REGEX REPLACE "^include/(.*)$" "#include <\\1>\n" line ${header})
    string(APPEND text ${line})
  endforeach()
  file(CONFIGURE OUTPUT all_headers.cpp CONTENT ${text} @ONLY)
  add_library(quire_compiled_headers OBJECT ${CMAKE_CURRENT_BINARY_DIR}/all_headers.cpp
                                            freestanding/instantiate.cpp)
  target_link_libraries(quire_compiled_headers PRIVATE quire::hosted)
  quire_strict(quire_compiled_headers)
endfunction()
