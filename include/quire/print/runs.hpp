// SPDX-License-Identifier: MIT
// Runs: neighbouring mappings with equal attributes whose output continues, whatever the sizes of their leaves, as one
// line.
//
//   input:0x80000000-0x807fffff -> output:0x40000000 8 MiB in 4 of 2 MiB rwx- may_write accessed normal
//   input:0x80000000-0x803fffff -> output:0x40000000 4 MiB in 513 of 4 KiB to 2 MiB r--- accessed normal
#pragma once

#include <quire/print/values.hpp>  // append_to

namespace quire {

struct mapping_run {
  input_address first;
  input_address last;
  output_address output;  // of the first byte
  attributes attrs;
  permissions effective;     // as of a foreign_mapping
  std::uint64_t leaves = 1;  // a group is one
  std::uint64_t smallest;    // bytes of a leaf
  std::uint64_t largest;

  constexpr explicit mapping_run(const foreign_mapping& leaf) noexcept
      : first(leaf.input),
        last(leaf.input + (leaf.bytes - 1)),
        output(leaf.output),
        attrs(leaf.attrs),
        effective(leaf.effective),
        smallest(leaf.bytes),
        largest(leaf.bytes) {}

  // Takes the leaf in, if it continues the run; gives whether it does.
  constexpr bool extend(const foreign_mapping& leaf) noexcept {
    if (leaf.input != last + 1 || leaf.input < first || leaf.output != output + (leaf.input - first)) return false;
    if (leaf.attrs != attrs || leaf.effective != effective) return false;
    last = leaf.input + (leaf.bytes - 1);
    ++leaves;
    if (leaf.bytes < smallest) smallest = leaf.bytes;
    if (leaf.bytes > largest) largest = leaf.bytes;
    return true;
  }
};

constexpr void append_to(short_text& text, const mapping_run& run) noexcept {
  detail::append_bytes(text, run.first, run.last);
  text.append(" -> ");
  append_to(text, run.output);
  text.append(" ").append_size(run.last - run.first + 1).append(" in ").append_decimal(run.leaves).append(" of ");
  text.append_size(run.smallest);
  if (run.largest != run.smallest) text.append(" to ").append_size(run.largest);
  text.append(" ");
  append_to(text, run.attrs);
  if (run.effective == run.attrs.allowed) return;
  text.append(" effective:");
  append_to(text, run.effective);
}

}  // namespace quire
