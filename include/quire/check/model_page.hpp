// SPDX-License-Identifier: MIT
// A line of the flat model: what is known of one page, and what an operation tells of the pages that it touched.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/attributes.hpp>      // attributes
#include <quire/format/concept.hpp>  // entry_kind

namespace quire::check {

// What to do with a leaf that the range covers only in part.
enum class partly : unsigned char { split, whole, error };

// What a comparison looks at besides translation, rights, memory type, software bits and markers.
struct compare_options {
  bool accessed = true;
  bool dirty = true;
  bool sizes = true;
};

// What an operation found in the range, in pages; `any_*` over the leaves that it touched.
struct model_outcome {
  std::size_t pages = 0;  // that were mapped (unmap) or changed (all others)
  bool accessed = false;
  bool dirty = false;
};

struct model_page {
  entry_kind kind = entry_kind::absent;  // absent, leaf or marker
  int level = 0;                         // of the leaf it belongs to
  int group = 0;
  std::uint64_t output = 0;   // of this page
  std::uint64_t payload = 0;  // of a marker
  attributes attrs{};         // of the leaf
};

}  // namespace quire::check
