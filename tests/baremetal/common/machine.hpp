// SPDX-License-Identifier: MIT
// What the scenarios ask of a machine: a console, an end, CPUs, and a guest behind second-stage tables.
//
// Each directory beside this one implements what is declared here, and its arch.hpp, found by the include path, defines
// in namespace bare:
//
//   class vcpu                          the registers of a guest; run by one CPU at a time
//     explicit vcpu(input_address area)   a servant at guest address `area` (guest.hpp), its own tables off
//     guest_exit run(const command&)      gives the servant its next command and enters the guest
//                                         a command that a fault left unfinished is given up
//     guest_exit resume()                 enters again where the last fault left it
//     void use_tables(input_address root) the guest's own tables, format guest_stage, are at this guest address
//   using guest_stage                   the stage-1 format of the guest's own tables
//   template <class F> second_stage     for each second-stage format of the machine
//     using invalidation                  the library's policy for the family with the machine's instructions;
//                                         made from an id, the VMID or ASID that it is about
//     using maintenance                   if the walkers need any: the library's policy
//     static const char* obstacle()       why this machine cannot walk the format, or nullptr; asks the hardware
//     static void use(table_address root, unsigned id)   this CPU's next entry of a guest walks these tables
//   void write_function(void* at, unsigned number)   code of a function that returns the number, below 1000, ready to
//                                       be executed
//   void publish_code(uint64_t at, uint64_t bytes)   what was written there may be executed, by every CPU that enters a
//                                       guest after this; only machines that have to be told have it
//
// Memory is seen where it is: the host's own translation is off or the identity.
#pragma once

#include <cstdint>  // uint64_t, uint8_t

#include <quire/address.hpp>     // input_address
#include <quire/attributes.hpp>  // permissions

namespace bare {

// What a program defines. CPU 0 runs it, in the host, with a stack of 16 KiB at least; it ends with finish().
// The second-stage format that it is about is BARE_FORMAT, a definition of its build.
void program();

void put(char c) noexcept;                          // to the console; waits until it is out
[[noreturn]] void power_off(bool passed) noexcept;  // the exit status of the emulator says which
std::uint64_t instructions() noexcept;              // grows by one an instruction where the emulator counts them

// CPU 0 is the one that booted. The others sleep while they have no work.
inline constexpr unsigned most_cpus = 4;
[[nodiscard]] unsigned this_cpu() noexcept;
[[nodiscard]] unsigned cpus() noexcept;
void start(unsigned cpu, void (*work)(void*), void* with) noexcept;  // CPU 0 calls it, for another that has no work
void wait_for(unsigned cpu) noexcept;                                // until its work is done
void pause() noexcept;                                               // in a loop that waits for another CPU
// The guest that runs on another CPU, or else the next that is entered there, exits for it. Machines of several CPUs.
void interrupt_guest(unsigned cpu) noexcept;

// RAM for tables and for the guest, a whole number of 2 MiB from a multiple of 2 MiB, nothing else in it.
[[nodiscard]] std::uint64_t memory_first() noexcept;
[[nodiscard]] std::uint64_t memory_bytes() noexcept;

struct guest_exit {
  enum class reason : std::uint8_t {
    done,         // the command was obeyed; `answer` is what it gave
    fault,        // at the second stage
    interrupted,  // by interrupt_guest()
    other,        // anything else is a defect
  };
  reason why = reason::other;
  std::uint64_t answer = 0;
  quire::input_address address{};                // of a fault: a byte of the page that was asked for
  quire::permissions access = quire::no_access;  // of a fault: readable, writable or executable, one of them
  bool of_guest_tables = false;                  // of a fault: it was the guest's own table that could not be read
  std::uint64_t syndrome = 0;                    // as the hardware tells it
};

}  // namespace bare
