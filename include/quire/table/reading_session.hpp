// SPDX-License-Identifier: MIT
// What every session can do: read. Sessions that change things derive from it.
#pragma once

#include <type_traits>  // conditional_t, remove_reference_t

#include <quire/table/found_root.hpp>  // found_root
#include <quire/table/lookup.hpp>      // look_up_in_reach, translate_in_reach, each_mapping

namespace quire {

// `KeepsRoot`: begins all of its calls from the root that it found first. A session of a single call asks for it then,
// which costs fewer registers.
template <class Table, bool KeepsRoot = true>
class reading_session {
 public:
  using format = typename Table::format;
  using table_type = Table;

  // The leaf that translates `address`. Errors: no_root; those of look_up.
  [[nodiscard]] constexpr result<mapping> lookup(input_address address) noexcept {
    const auto root = reach();
    if (!root.reaches(address)) [[unlikely]]
      return root.why_not(address);
    return look_up_in_reach<format, Table::locking::reader_order>(table_->policies().memory, root.table(), address);
  }
  // Where `address` leads.
  [[nodiscard]] QUIRE_INLINE constexpr result<output_address> translate(input_address address) noexcept {
    const auto root = reach();
    if (!root.reaches(address)) [[unlikely]]
      return root.why_not(address);
    return translate_in_reach<format, Table::locking::reader_order>(table_->policies().memory, root.table(), address);
  }
  // The payload of the marker at `address`. Errors: no_root, beyond_input; not_mapped where there is none.
  [[nodiscard]] constexpr result<std::uint64_t> annotation(input_address address) noexcept {
    const auto root = reach();
    if (!root.reaches(address)) return root.why_not(address);
    const auto found = descend<format, Table::locking::reader_order>(table_->policies().memory, root.table(), address);
    if (format::kind_of(found.entry, found.level) != entry_kind::marker)
      return error{errc::not_mapped, static_cast<std::int8_t>(found.level), address.value};
    return format::payload_of(found.entry);
  }
  // Calls function(mapping) for every leaf that overlaps the range, in ascending order; a function that gives false
  // ends it with errc::stopped.
  template <class Function>
  constexpr result<void> for_each_mapping(input_range range, Function&& function) {
    const auto root = reach().get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    auto& memory = table_->policies().memory;
    detail::each_mapping<format, std::remove_reference_t<decltype(memory)>, std::remove_reference_t<Function>> visitor{
        memory, function};
    return walk<(walk_flag::leaf | walk_flag::shared | walk_flag::stop_on_retry), format>(memory, *root, range,
                                                                                          visitor);
  }
  // The tables themselves, for whoever reads in other ways (views/, a dump) as long as the session lasts. Errors:
  // no_root.
  [[nodiscard]] constexpr result<table_address> root() const noexcept { return reach().get(); }
  [[nodiscard]] constexpr auto& memory() const noexcept { return table_->policies().memory; }

 protected:
  constexpr explicit reading_session(Table& table) noexcept : table_(&table) {}
  // Once the session has what keeps the root from going, its lock or its section.
  QUIRE_INLINE constexpr void find_root() noexcept
    requires KeepsRoot
  {
    root_ = table_->find_root();
  }
  [[nodiscard]] QUIRE_INLINE constexpr found_root<format> reach() const noexcept {
    if constexpr (KeepsRoot) return root_;
    else return table_->find_root();
  }

  Table* table_;

 private:
  struct nothing {};
  [[no_unique_address]] std::conditional_t<KeepsRoot, found_root<format>, nothing> root_{};
};

}  // namespace quire
