// SPDX-License-Identifier: MIT
// A format that cannot say what an entry is.
// expect: (does not satisfy|required for the satisfaction of) 'pte_format_decodes
// expect: kind_of\(entry, level\)' (is|would be) invalid
#include <quire/quire.hpp>

#include "user.hpp"

struct my_format {
  using archetype = quire::format_archetype;
  using word = archetype::word;
  static constexpr auto shape = archetype::shape;
  static constexpr auto facts = archetype::facts;
  static constexpr auto table_shift = archetype::table_shift;
  static constexpr auto& group_sizes = archetype::group_sizes;
#if QUIRE_RIGHT
  static constexpr auto& kind_of = archetype::kind_of;
#endif
  static constexpr auto& table_of = archetype::table_of;
  static constexpr auto& group_of = archetype::group_of;
  static constexpr auto& output_of = archetype::output_of;
  static constexpr auto& attributes_of = archetype::attributes_of;
  static constexpr auto& payload_of = archetype::payload_of;
  static constexpr auto& is_well_formed = archetype::is_well_formed;
  static constexpr auto& leaf = archetype::leaf;
  static constexpr auto& table = archetype::table;
  static constexpr auto& marker = archetype::marker;
  static constexpr auto locked = archetype::locked;
  static constexpr auto& lock = archetype::lock;
  static constexpr auto& unlock = archetype::unlock;
  static constexpr auto& step = archetype::step;
  static constexpr auto& child = archetype::child;
  static constexpr auto is_writable = archetype::is_writable;
  static constexpr auto is_accessed = archetype::is_accessed;
  static constexpr auto is_dirty = archetype::is_dirty;
  static constexpr auto is_grantable = archetype::is_grantable;
  static constexpr auto make_writable = archetype::make_writable;
  static constexpr auto write_protect = archetype::write_protect;
  static constexpr auto set_accessed = archetype::set_accessed;
  static constexpr auto clear_accessed = archetype::clear_accessed;
  static constexpr auto make_clean = archetype::make_clean;
  static constexpr auto& protect = archetype::protect;
  static constexpr auto& relax = archetype::relax;
  static constexpr auto may_write_bit = archetype::may_write_bit;
  static constexpr auto quiet_bits = archetype::quiet_bits;
};

bool use(quire::page_table<my_format, one_thread>& table) { return table.create().has_value(); }
