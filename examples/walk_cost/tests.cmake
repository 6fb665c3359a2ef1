# SPDX-License-Identifier: MIT
# Is what is computed what tables take, and is it printed as it should be?
if(NOT QUIRE_BUILD_TESTS OR NOT "unit" IN_LIST QUIRE_TEST_GROUPS)
  return()
endif()

# Most of the time is the compiler's.
quire_add_test(walk_cost walk_cost/against_tables.cpp FLAGS -Og)

set(walk_cost_place ${CMAKE_CURRENT_SOURCE_DIR}/walk_cost)

# quire_expect_walk_cost(NAME STATUS WHAT TEXT ARGS...): WHAT is FILE or MESSAGE, see expect.cmake.
function(quire_expect_walk_cost name status what text)
  add_test(NAME walk_cost.${name}
           COMMAND ${CMAKE_COMMAND} -D "COMMAND=$<TARGET_FILE:walk_cost>;${ARGN}" -D STATUS=${status} -D "${what}=${text}"
                   -P ${walk_cost_place}/expect.cmake)
  set_tests_properties(walk_cost.${name} PROPERTIES LABELS unit TIMEOUT 60)
endfunction()

# What is printed, word for word.
function(quire_print_walk_cost name)
  quire_expect_walk_cost(${name}.text 0 FILE ${walk_cost_place}/expected/${name}.txt ${ARGN})
  quire_expect_walk_cost(${name}.json 0 FILE ${walk_cost_place}/expected/${name}.json ${ARGN} --json)
endfunction()
quire_print_walk_cost(riscv-sv39x4 --format riscv-sv39x4 --region 0x80000000:16G --leaf block)
quire_print_walk_cost(arm64-4k-48 --format arm64-4k-48 --region 0:640K --region 1M:3071M --region 4G:2T:1)
quire_print_walk_cost(amd-iommu-6 --format amd-iommu-6 --memory 1P --host-alignment 512M)

quire_expect_walk_cost(beyond_input 1 MESSAGE "4T at 0x0 reaches beyond the 41 bits of input" --format riscv-sv39x4
                       --memory 4T)
quire_expect_walk_cost(beyond_half 1 MESSAGE "beyond the 48 bits.*topmost" --format x86-64-4 --memory 129T)
quire_expect_walk_cost(beyond_output 1 MESSAGE "128P at 0x0 is more than the 56 bits of output" --format riscv-sv57x4
                       --memory 128P)
quire_expect_walk_cost(overlap 1 MESSAGE "0x20000000 in common" --format arm64-4k-40 --region 512M:1G --region 0:1G)
quire_expect_walk_cost(level 1 MESSAGE "leaves of level 3, which arm64-4k-48 does not have" --format arm64-4k-48 --region
                       0:1G:3)
quire_expect_walk_cost(unaligned 1 MESSAGE "no whole number of pages of 16K" --format arm64-16k-40 --memory 4K)
quire_expect_walk_cost(host 1 MESSAGE "aligned to 2K in pages of 4K" --format x86-64-4 --memory 1G --host-alignment 2K)
quire_expect_walk_cost(format 2 MESSAGE "--format: 'x86' is none" --format x86 --memory 1G)
quire_expect_walk_cost(no_layout 2 MESSAGE "either --memory SIZE or --region" --format x86-64-4)
quire_expect_walk_cost(size 2 MESSAGE "--memory: '17E' is no size" --format x86-64-4 --memory 17E)
quire_expect_walk_cost(region 2 MESSAGE "'1G' is no BASE:SIZE" --format x86-64-4 --region 1G)
quire_expect_walk_cost(host_power 2 MESSAGE "3M is no power of two" --format x86-64-4 --memory 1G --host-alignment 3M)

add_test(NAME walk_cost.every_format
         COMMAND ${CMAKE_COMMAND} -D PROGRAM=$<TARGET_FILE:walk_cost> -D FORMATS=$<TARGET_FILE:formats> -P
                 ${walk_cost_place}/every_format.cmake)
set_tests_properties(walk_cost.every_format PROPERTIES LABELS unit TIMEOUT 60)
