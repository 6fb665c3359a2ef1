# SPDX-License-Identifier: MIT
# The example as a kernel image for three architectures, linked without any library, and as a program of this host.
if(NOT QUIRE_BUILD_TESTS)
  return()
endif()

add_test(NAME plug_in.run COMMAND plug_in)
set_tests_properties(plug_in.run PROPERTIES LABELS plug_in TIMEOUT 60)

if(NOT "freestanding" IN_LIST QUIRE_TEST_GROUPS)
  return()
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter)

# quire_link_plug_in(MACHINE COMPILER PACKAGE [FLAGS...])
function(quire_link_plug_in machine compiler package)
  list(TRANSFORM ARGN PREPEND --flag=)
  list(TRANSFORM plug_in_sources PREPEND examples/ OUTPUT_VARIABLE sources)
  add_test(
    NAME plug_in.link.${machine}
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/check_plug_in.py --compiler=${compiler}
            --package=${package} --machine=${machine} --root=${PROJECT_SOURCE_DIR} ${ARGN}
            examples/plug_in/entry.cpp examples/plug_in/kernel/compiler_support.cpp ${sources})
  set_tests_properties(plug_in.link.${machine} PROPERTIES LABELS plug_in SKIP_RETURN_CODE 77 TIMEOUT 600)
endfunction()

# A kernel leaves the floating-point and vector registers to its users, and an interrupt may use the stack below the
# stack pointer. Without the last flag, GCC calls helper functions of its own library for every atomic operation.
quire_link_plug_in(x86_64 g++ g++ -mgeneral-regs-only -mno-red-zone)
quire_link_plug_in(aarch64 aarch64-linux-gnu-g++ g++-aarch64-linux-gnu -mgeneral-regs-only -mno-outline-atomics)
quire_link_plug_in(riscv64 riscv64-linux-gnu-g++ g++-riscv64-linux-gnu)
