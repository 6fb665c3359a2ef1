// SPDX-License-Identifier: MIT
// The half of a program that has <quire/...>.
#include <quire/quire.hpp>

#include "guest.hpp"

quire::result<std::size_t> protect_and_split(guest_table& guest) {
  auto session = guest.exclusive();
  const auto ram = quire::input_range::sized(quire::input_address{ram_first}, ram_bytes);
  const auto changed = session.write_protect(ram);
  if (!changed) return changed.error();
  const auto split = session.split(ram);
  if (!split) return split.error();
  return split->tables;
}

int version_of_separate_headers() {
  return QUIRE_VERSION_MAJOR * 10000 + QUIRE_VERSION_MINOR * 100 + QUIRE_VERSION_PATCH;
}
