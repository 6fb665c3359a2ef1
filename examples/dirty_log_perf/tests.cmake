# SPDX-License-Identifier: MIT
# Quick runs of dirty_log_perf as tests. Every one checks page by page that no write is lost.

# quire_run_dirty_log_perf(NAME ARGS...): must end with status 0.
function(quire_run_dirty_log_perf name)
  add_test(NAME dirty_log_perf.${name} COMMAND dirty_log_perf --verify -v 4 -b 2M -i 3 ${ARGN})
  set_tests_properties(dirty_log_perf.${name} PROPERTIES LABELS threads TIMEOUT 120)
endfunction()

quire_run_dirty_log_perf(defaults)
quire_run_dirty_log_perf(slow_path --fault-path slow -s anonymous_thp)
quire_run_dirty_log_perf(no_split --split never -s anonymous_thp -g)
quire_run_dirty_log_perf(split_in_fault --split fault -s anonymous_thp -g -x 3 --slot-offset 77)
quire_run_dirty_log_perf(warm_enable -g -s anonymous_hugetlb_1gb --warm-enable --no-skip-level)
quire_run_dirty_log_perf(random -a -o -w 50 -r 7 --format riscv-sv48x4 -s anonymous_thp --no-initially-set)
quire_run_dirty_log_perf(sections --locking concurrent -s anonymous_thp)
quire_run_dirty_log_perf(sections.split_in_fault --locking concurrent --split fault -s anonymous_thp -g -o -x 3
                         --slot-offset 77)
quire_run_dirty_log_perf(sections.slow_path --locking concurrent --fault-path slow -a -o -w 50 --format arm64-4k)
foreach(format "riscv-sv39x4" "arm64-4k;--ipa-bits;48")
  list(GET format 0 name)
  quire_run_dirty_log_perf(sections.toggle_fault.${name} --locking concurrent --format ${format} --toggle
                           --split fault -s anonymous_thp -g -e --recover in-place)
  quire_run_dirty_log_perf(sections.toggle_eager.${name} --locking concurrent --format ${format} --toggle
                           -s anonymous_hugetlb_1gb -e --recover on-fault --chunk 2M --yield-every 16)
endforeach()
foreach(format "riscv-sv39x4" "arm64-4k;--ipa-bits;48")
  list(GET format 0 name)
  quire_run_dirty_log_perf(toggle_fault.${name} --format ${format} --toggle --split fault -s anonymous_thp
                           -g -e --recover in-place)
  quire_run_dirty_log_perf(toggle_eager.${name} --format ${format} --toggle -s anonymous_hugetlb_1gb
                           -e --recover on-fault --chunk 2M --yield-every 16)
endforeach()

# quire_refuses_dirty_log_perf(NAME MESSAGE ARGS...): must end with status 2 and say MESSAGE, a regular expression.
function(quire_refuses_dirty_log_perf name message)
  add_test(NAME dirty_log_perf.refuses.${name}
           COMMAND ${CMAKE_COMMAND} -D "COMMAND=$<TARGET_FILE:dirty_log_perf>;${ARGN}" -D "MESSAGE=${message}"
                   -P ${CMAKE_CURRENT_SOURCE_DIR}/dirty_log_perf/expect_refusal.cmake)
  set_tests_properties(dirty_log_perf.refuses.${name} PROPERTIES LABELS unit TIMEOUT 60)
endfunction()

quire_refuses_dirty_log_perf(format "--format: x86 not in {riscv-sv39x4,riscv-sv48x4,arm64-4k}" --format x86)
quire_refuses_dirty_log_perf(one_iteration "-i: .*1 .*2.*65534" -i 1)
quire_refuses_dirty_log_perf(size "-b: 5000 bytes.*4K" -b 5000)
quire_refuses_dirty_log_perf(slots "-x: 9 slots for 2 pages; at most one" -b 8K -x 9)
quire_refuses_dirty_log_perf(chunk "--chunk: 8192 bytes.*4K, 2M and 1G" --chunk 8K)
quire_refuses_dirty_log_perf(memory "-v and -b: the guest needs [0-9]+ MiB, more than" -v 200 -b 256G)
quire_refuses_dirty_log_perf(ipa_bits "--ipa-bits: 43 bits, but riscv-sv39x4" --ipa-bits 43)
quire_refuses_dirty_log_perf(warm_enable "--warm-enable: .*give -g" --warm-enable)
quire_refuses_dirty_log_perf(json "--json: cannot write to /nowhere/at.all" --json /nowhere/at.all)
