// SPDX-License-Identifier: MIT
// Compiled apart, without jump tables and calls: it must run wherever its page is mapped.
#include "guest.hpp"

#include "guest_call.hpp"  // next_command: the instruction that leaves the guest

namespace {

using bare::verb;

[[gnu::always_inline]] inline volatile std::uint64_t* word_at(std::uint64_t address) {
  return reinterpret_cast<volatile std::uint64_t*>(address);
}

[[gnu::always_inline]] inline std::uint64_t obey(const bare::command& c) {
  std::uint64_t answer = 0;
  switch (c.what) {
    case verb::load: return *word_at(c.address);
    case verb::store: *word_at(c.address) = c.value; return 0;
    case verb::add: return __atomic_fetch_add(reinterpret_cast<std::uint64_t*>(c.address), c.value, __ATOMIC_RELAXED);
    case verb::call: return reinterpret_cast<std::uint64_t (*)()>(c.address)();
    case verb::fill:
      for (std::uint64_t i = 0; i < c.count; ++i) *word_at(c.address + i * c.step) = c.value + i;
      return 0;
    case verb::sum:
      for (std::uint64_t i = 0; i < c.count; ++i) answer += *word_at(c.address + i * c.step);
      return answer;
    case verb::spin:
      while (answer < c.count && *word_at(c.address) != c.value) ++answer;
      return answer;
    case verb::beat:
      while (*word_at(c.value) == 0) *word_at(c.address) = ++answer;
      return answer;
  }
  return ~std::uint64_t{0};
}

}  // namespace

// What the first entry of the guest begins with: at offset 0 of its area, with the stack at the area's end.
extern "C" [[noreturn, gnu::section(".guest.main")]] void guest_main() {
  for (std::uint64_t answer = 0;;) answer = obey(bare::next_command(answer));
}
