// SPDX-License-Identifier: MIT
// What runs often. In the machine code of this file there is no call or jump through a pointer (check_calls.py).
#include "guest.hpp"

std::uint64_t sum_of_outputs(guest_table& guest, rw_lock& lock, std::uint64_t first, std::uint64_t pages) {
  return guest.visit([&](auto& table) {
    auto session = table.shared(lock);
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < pages; ++i) {
      const auto output = session.translate(quire::input_address{first + i * 4096});
      if (!output) return ~std::uint64_t{0};
      sum += output->value;
    }
    return sum;
  });
}

std::uint64_t fix_write_faults(guest_table& guest, rw_lock& lock, std::uint64_t first, std::uint64_t pages,
                               std::uint64_t* bitmap) {
  return guest.visit([&](auto& table) {
    std::uint64_t granted = 0;
    for (std::uint64_t i = 0; i < pages; ++i) {
      auto session = table.shared(lock);
      const auto mark = [&] { bitmap[i / 64] |= std::uint64_t{1} << (i % 64); };
      granted +=
          session.make_writable(quire::input_address{first + i * 4096}, mark) == quire::write_grant::granted ? 1U : 0U;
    }
    return granted;
  });
}
