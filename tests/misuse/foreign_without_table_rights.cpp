// SPDX-License-Identifier: MIT
// A format whose table entries carry rights and that does not say which, in the hands of who follows others' tables.
// expect: Format::table_rights_of must say which they leave
#include <quire/quire.hpp>

#include "user.hpp"

struct my_format : quire::format_archetype {
  static constexpr quire::format_facts facts{.table_permissions = true, .output_bits = 48, .marker_bits = 36};
#if !QUIRE_RIGHT
  static void table_rights_of();
#endif
};

auto use(quire::memory_dump dump) { return quire::foreign_lookup<my_format>(dump, quire::table_address{}, guest); }
