// SPDX-License-Identifier: MIT
// What changed in a table, as the translation caches are told: a value that whoever changes tables, whoever issues
// instructions and whoever checks them have in common.
#pragma once

#include <quire/address.hpp>  // input_address

namespace quire {

enum class invalidation_reason : unsigned char {
  installed,  // invalid -> valid; only where the format caches invalid entries
  relaxed,    // rights were added: the CPU that faults needs it, others may take one spurious fault
  reduced,    // rights, accessed or dirty were taken away
  resized,    // same translation in leaves of another size; only before something relies on the new size
  removed,    // the translation is gone, and what it led to may be given away
};

struct invalidation_request {
  input_address first;  // the first and the last byte whose translations changed
  input_address last;
  int level;       // of the leaves that changed; -1: unknown or mixed
  bool leaf_only;  // no table entry changed: caches of the upper levels may be kept
  invalidation_reason reason;

  friend constexpr bool operator==(const invalidation_request&, const invalidation_request&) = default;
};

}  // namespace quire
