// SPDX-License-Identifier: MIT
// The mappings of a table as a range of `mapping` (table/lookup.hpp), in ascending order:
//
//   session | views::mappings | ranges::views::filter(...)
//   session | views::dirty_mappings(range)
//
// What may be read through, for how long, and what is seen while the table changes: source.hpp.
//
// Guarantees: the same mappings as for_each_mapping(range), whole leaves where the range begins or ends inside of one,
// a group as one. What comes next is looked for when the iterator moves on; the entry that was found is decoded when it
// is asked for, so that what nobody looks at is not computed.
#pragma once

#include <cstddef>      // size_t
#include <type_traits>  // bool_constant

#include <range/v3/view/facade.hpp>  // view_facade

#include <quire/table/entry.hpp>   // group_span
#include <quire/table/lookup.hpp>  // mapping, mapping_of
#include <quire/views/source.hpp>  // source, adaptor
#include <quire/walk/cursor.hpp>   // cursor

namespace quire::views {

enum class which_leaves : unsigned char { all, dirty };

namespace detail {

// Accessed and dirty of a group are those of all its entries.
struct read_bits {
  bool accessed = false;
  bool dirty = false;
};
struct no_bits {};

// A leaf as it was read, to be decoded when it is asked for.
template <pte_format Format>
struct read_leaf {
  typename Format::word entry = 0;
  input_address within{};
  [[no_unique_address]] std::conditional_t<has_groups<Format>, read_bits, no_bits> others{};

  template <int Level = 0>
  [[nodiscard]] QUIRE_INLINE constexpr mapping decoded(int level) const noexcept {
    if constexpr (Level < Format::shape.root_level) {
      if (level != Level) [[unlikely]]
        return decoded<Level + 1>(level);
    }
    mapping found = mapping_of<Format>(entry, Level, within);
    if constexpr (has_groups<Format>) {
      found.attrs.accessed = found.attrs.accessed || others.accessed;
      found.attrs.dirty = found.attrs.dirty || others.dirty;
    }
    return found;
  }
};

// The visitor: puts the walk down behind every leaf that is wanted.
template <pte_format Format, class Memory, order Order, which_leaves Wanted>
struct leaf_finder {
  using word = typename Format::word;

  Memory* memory = nullptr;
  read_leaf<Format> found{};

  template <class Run>
  QUIRE_INLINE constexpr run_stop<word> leaves(Run run) noexcept {
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = load(run.table, i);
      const entry_kind kind = Format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
      if (kind != entry_kind::leaf) continue;
      found = {entry, run.address(i)};
      if constexpr (has_groups<Format>) {
        const entry_span span = group_span<Format>(entry, Run::level, i);
        if (span.first != span.last) read_others(run.table, span);
        i = span.last;
      }
      if (is_wanted()) return run_stop<word>::failed(i, errc::stopped);
    }
    return run_stop<word>::done();
  }

 private:
  [[nodiscard]] constexpr word load(table_address table, std::size_t i) const noexcept {
    return memory->template load<word>(table, i, Order);
  }
  constexpr void read_others(table_address table, entry_span span) noexcept {
    for (std::size_t i = span.first; i <= span.last; ++i) {
      const word other = load(table, i);
      found.others.accessed = found.others.accessed || Format::is_accessed(other);
      found.others.dirty = found.others.dirty || (Format::facts.has_dirty && Format::is_dirty(other));
    }
  }
  [[nodiscard]] constexpr bool is_wanted() const noexcept {
    if constexpr (Wanted == which_leaves::all) return true;
    else if constexpr (has_groups<Format>) return Format::is_dirty(found.entry) || found.others.dirty;
    else return Format::is_dirty(found.entry);
  }
};

// What range-v3 makes an iterator of.
template <source Source, which_leaves Wanted>
class mapping_cursor {
  using format = format_of<Source>;

 public:
  using single_pass = std::bool_constant<is_single_pass<Source>>;

  // One at the end.
  constexpr mapping_cursor() noexcept = default;
  constexpr mapping_cursor(memory_of<Source>& memory, table_address root, const input_space& space) noexcept
      : root_(root), rest_(space.upper), place_(root, space.lower), finder_{&memory}, over_(false) {
    next();
  }

  [[nodiscard]] constexpr mapping read() const noexcept { return finder_.found.decoded(place_.level()); }
  constexpr void next() noexcept {
    if (place_.resume(finder_) != errc::none) [[likely]]
      return;
    over_ = !continues_above();
  }
  [[nodiscard]] constexpr bool equal(ranges::default_sentinel_t) const noexcept { return over_; }
  [[nodiscard]] constexpr bool equal(const mapping_cursor& other) const noexcept {
    return over_ == other.over_ && (over_ || finder_.found.within == other.finder_.found.within);
  }

 private:
  [[nodiscard]] constexpr bool continues_above() noexcept {
    if constexpr (format::facts.sign_extended) {
      if (rest_.defect() == errc::none) {
        place_ = cursor<format>{root_, rest_};
        rest_ = {};
        return place_.resume(finder_) != errc::none;
      }
    }
    return false;
  }

  table_address root_{};
  input_range rest_{};  // the upper half, until it is begun
  cursor<format> place_{};
  leaf_finder<format, memory_of<Source>, order_of<Source>, Wanted> finder_{};
  bool over_ = true;
};

}  // namespace detail

template <source Source, which_leaves Wanted = which_leaves::all>
class mapping_view : public ranges::view_facade<mapping_view<Source, Wanted>, ranges::finite> {
  static_assert(Wanted == which_leaves::all || detail::format_of<Source>::facts.has_dirty,
                "this format has no dirty bit: what was written is in the dirty log (views::dirty_pages)");

 public:
  constexpr mapping_view() noexcept = default;
  constexpr explicit mapping_view(detail::part_of<Source> part) noexcept : part_(part) {}

  // Why the view is empty whatever the table maps; none if it is not so.
  [[nodiscard]] constexpr quire::error error() const noexcept { return part_.root().error(); }

 private:
  friend ranges::range_access;
  [[nodiscard]] constexpr auto begin_cursor() const noexcept {
    return part_.template begin<detail::mapping_cursor<Source, Wanted>>();
  }

  detail::part_of<Source> part_{};
};

template <class Source>
using dirty_mapping_view = mapping_view<Source, which_leaves::dirty>;
template <class Source>
using all_mapping_view = mapping_view<Source, which_leaves::all>;

inline constexpr adaptor<all_mapping_view> mappings{};
inline constexpr adaptor<dirty_mapping_view> dirty_mappings{};

}  // namespace quire::views

template <class Source, quire::views::which_leaves Wanted>
inline constexpr bool ranges::enable_borrowed_range<quire::views::mapping_view<Source, Wanted>> = true;
