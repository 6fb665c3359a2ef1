// SPDX-License-Identifier: MIT
// An entry with what it says in a format, and a format with what it is: values to be printed.
//
//   std::cout << described_entry<riscv::sv39x4>{word, level};     0x00000000200000df leaf output:0x80000000 4 KiB rwx-
//   ... std::cout << described_format<riscv::sv39x4>{};               3 levels of 11 9 9 bits, pages of 4 KiB, 41 bits
//   of ...
#pragma once

#include <quire/print/values.hpp>  // append_to

namespace quire {

template <pte_format Format>
struct described_entry {
  typename Format::word word;
  int level;
};

// `malformed` where the hardware would fault because of the form: then the rest says what the bits would mean.
template <pte_format Format>
constexpr void append_to(short_text& text, const described_entry<Format>& entry) noexcept {
  const auto word = entry.word;
  const int level = entry.level;
  text.append_hex(word, 2 * sizeof(word));
  if (!Format::is_well_formed(word, level)) text.append(" malformed");
  const entry_kind kind = Format::kind_of(word, level);
  text.append(" ").append(name_of(kind));
  if (kind == entry_kind::leaf) {
    const int group = Format::group_of(word, level);
    text.append(" ");
    append_to(text, Format::output_of(word, level));
    text.append(" ").append_size(Format::shape.leaf_bytes(level) << group).append(" ");
    append_to(text, Format::attributes_of(word, level));
  } else if (kind == entry_kind::table) {
    text.append(" ");
    append_to(text, Format::table_of(word, level));
    if constexpr (Format::facts.table_permissions) {
      text.append(" ");
      append_to(text, Format::table_rights_of(word, level));
    }
  } else if (kind == entry_kind::marker) text.append(" payload:").append_hex(Format::payload_of(word));
}

template <pte_format Format>
struct described_format {};

template <pte_format Format>
constexpr void append_to(short_text& text, described_format<Format>) noexcept {
  append_to(text, Format::shape);
  if (Format::facts.sign_extended) text.append(" in two halves");
  text.append(", ").append_decimal(static_cast<std::uint64_t>(Format::facts.output_bits)).append(" bits of output");
}

}  // namespace quire
