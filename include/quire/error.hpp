// SPDX-License-Identifier: MIT
// What can go wrong, by name. Bad input and lack of memory are values; they change nothing unless the operation says
// how far it came.
#pragma once

#include <cstdint>  // uint8_t, uint64_t

#include <quire/version.hpp>  // one copy of Quire

namespace quire {

enum class errc : std::uint8_t {
  none,
  empty_range,            // a range of no bytes
  range_overflow,         // the end lies before the start, or past the end of the 64-bit space
  unaligned,              // an address is not a multiple of the page (or of the leaf asked for)
  beyond_input,           // an input address that the geometry cannot translate
  beyond_output,          // an output address that an entry cannot hold
  unsupported_attribute,  // an attribute or combination that the format cannot encode
  unsupported_level,      // the level holds no leaves, or does not exist
  no_memory,              // the table source has too few tables
  already_mapped,         // something else is mapped there
  marked,                 // a marker stands there; it must be removed first
  not_mapped,             // nothing is mapped there
  crosses_leaf,           // the range covers part of a leaf, and the caller asked not to split
  not_permitted,          // the leaf may not be given that right (the host page is read-only)
  busy,                   // another writer is at work on the entry: retry from the start
  not_uniform,            // the entries below do not form one leaf
  no_root,                // the table has no root (never made, or destroyed)
  stopped,                // a callback asked to stop
  malformed,              // a foreign table says there what no table can say, or cannot be read
  beyond_identifier,      // a VMID or ASID that its register cannot hold, or the CPU does not tell apart
};
inline constexpr errc last_errc = errc::beyond_identifier;

// Every name, for messages; the enumerator's own spelling.
[[nodiscard]] constexpr const char* name_of(errc code) noexcept {
  switch (code) {
    case errc::none: return "none";
    case errc::empty_range: return "empty_range";
    case errc::range_overflow: return "range_overflow";
    case errc::unaligned: return "unaligned";
    case errc::beyond_input: return "beyond_input";
    case errc::beyond_output: return "beyond_output";
    case errc::unsupported_attribute: return "unsupported_attribute";
    case errc::unsupported_level: return "unsupported_level";
    case errc::no_memory: return "no_memory";
    case errc::already_mapped: return "already_mapped";
    case errc::marked: return "marked";
    case errc::not_mapped: return "not_mapped";
    case errc::crosses_leaf: return "crosses_leaf";
    case errc::not_permitted: return "not_permitted";
    case errc::busy: return "busy";
    case errc::not_uniform: return "not_uniform";
    case errc::no_root: return "no_root";
    case errc::stopped: return "stopped";
    case errc::malformed: return "malformed";
    case errc::beyond_identifier: return "beyond_identifier";
  }
  return "unknown";
}

// An error: what, at which input address (bytes), at which level (-1: no level is to blame).
struct error {
  errc code = errc::none;
  std::int8_t level = -1;
  std::uint64_t at = 0;

  friend constexpr bool operator==(const error&, const error&) noexcept = default;
};

}  // namespace quire
