# SPDX-License-Identifier: MIT
# The machines that bare-metal programs are built for, each with what its programs have in common. Who includes this
# compiles that for itself, as far as its own programs need it.

include(${CMAKE_CURRENT_LIST_DIR}/build.cmake)

quire_add_machine(
  riscv64 riscv64 riscv64-linux-gnu-g++ g++-riscv64-linux-gnu
  FLAGS -march=rv64gc_zicsr_zifencei -mabi=lp64d -mcmodel=medany
  SOURCES start.S harts.cpp machine.cpp vcpu.cpp)
quire_add_machine(
  aarch64 aarch64 aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
  FLAGS -march=armv8-a -mgeneral-regs-only -mstrict-align -mno-outline-atomics
  SOURCES start.S world_switch.S boot_table.cpp cpus.cpp machine.cpp vcpu.cpp)

set(flags -m64 -mno-red-zone -mgeneral-regs-only -fcf-protection=none)
set(sources start.S exceptions.cpp machine.cpp vcpu.cpp)
quire_add_machine(
  x86_64 x86_64 x86_64-linux-gnu-g++ g++
  FLAGS ${flags}
  SOURCES ${sources} svm.cpp svm_enter.S)
quire_add_machine(
  x86_64-bochs-svm x86_64 x86_64-linux-gnu-g++ g++ DISK
  FLAGS ${flags}
  SOURCES ${sources} svm.cpp svm_enter.S)
quire_add_machine(
  x86_64-bochs-vmx x86_64 x86_64-linux-gnu-g++ g++ DISK
  FLAGS ${flags} -DQUIRE_BARE_VMX
  SOURCES ${sources} vmx.cpp vmx_enter.S)
