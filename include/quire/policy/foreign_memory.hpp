// SPDX-License-Identifier: MIT
// Foreign memory: tables that we did not build and do not trust, read only. A guest's own tables, a dump.
//
// Where a table of ours lies is a promise; where a foreign one says it lies is a number that anybody may have written.
// So this policy may fail, and that is all that sets it apart from the load of memory.hpp.
//
// Requires, for Word = 32- and 64-bit unsigned: load<Word>(table, index) gives entry `index` of the table at `table`,
// or nothing where it is not all there. It answers for every address and index without reading out of bounds, and
// without a step that overflows. Where others may write meanwhile (the guest runs), it reads the entry by one access.
#pragma once

#include <bit>       // endian
#include <concepts>  // same_as, unsigned_integral
#include <cstddef>   // byte, size_t
#include <cstdint>   // uint64_t
#include <optional>  // optional

#include <quire/address.hpp>  // table_address

namespace quire {

template <class M, class Word>
concept foreign_memory = requires(M& m, table_address table, std::size_t index) {
  { m.template load<Word>(table, index) } -> std::same_as<std::optional<Word>>;
};

// The bytes of a flat dump; byte 0 has the address `base`. The dump need not be aligned in our memory nor have the byte
// order of this machine.
class memory_dump {
 public:
  constexpr memory_dump(const std::byte* bytes, std::size_t count, std::uint64_t base,
                        std::endian byte_order = std::endian::little) noexcept
      : bytes_(bytes), count_(count), base_(base), byte_order_(byte_order) {}

  template <std::unsigned_integral Word>
  [[nodiscard]] constexpr std::optional<Word> load(table_address table, std::size_t index) const noexcept {
    // Compared as entries that fit: a product or a sum of hostile numbers could wrap into the dump.
    if (table.value < base_ || table.value - base_ > count_) return {};
    const std::size_t first = static_cast<std::size_t>(table.value - base_);
    if (index >= (count_ - first) / sizeof(Word)) return {};
    Word word = 0;
    for (std::size_t i = 0; i < sizeof(Word); ++i) {
      const std::size_t at = byte_order_ == std::endian::little ? sizeof(Word) - 1 - i : i;  // the highest byte first
      word = static_cast<Word>((word << 8) | std::to_integer<Word>(bytes_[first + index * sizeof(Word) + at]));
    }
    return word;
  }

 private:
  const std::byte* bytes_;
  std::size_t count_;
  std::uint64_t base_;
  std::endian byte_order_;
};

static_assert(foreign_memory<memory_dump, std::uint64_t> && foreign_memory<memory_dump, std::uint32_t>);
static_assert(!foreign_memory<int, std::uint64_t>);

}  // namespace quire
