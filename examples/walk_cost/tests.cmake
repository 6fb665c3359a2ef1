# SPDX-License-Identifier: MIT
# Is what is computed what tables take, and is it printed as it should be?
if(NOT QUIRE_BUILD_TESTS OR NOT "unit" IN_LIST QUIRE_TEST_GROUPS)
  return()
endif()

# Most of the time is the compiler's.
quire_add_test(walk_cost walk_cost/against_tables.cpp FLAGS -Og)
