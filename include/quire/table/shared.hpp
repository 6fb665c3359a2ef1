// SPDX-License-Identifier: MIT
// What the read side may do to one existing page leaf: add rights, or age it, by compare-exchange.
//
// Who may write what: other readers change rights and accessed of the same entry by the same means, and the hardware
// adds accessed and dirty. Structure cannot change: that is the write side, which the lock keeps out. So an entry that
// is a page leaf stays one, and its output and memory type stay as they are.
#pragma once

#include <quire/policy/locking.hpp>  // dirty_order
#include <quire/table/entry.hpp>     // group_span
#include <quire/table/lookup.hpp>    // no_leaf
#include <quire/walk/descend.hpp>    // descend

namespace quire {

// What became of a write fault on the read side. Only the first two mean that the guest may go on.
enum class write_grant : unsigned char {
  granted,        // this call made the leaf writable
  already,        // somebody else had: nothing written
  not_mapped,     // no leaf there (or a marker)
  not_page,       // a block or a group: only the write side may split it
  not_permitted,  // may_write is not set: the host page behind it is read-only
  busy,           // another writer owns the entry (locking::concurrent): try again
};

namespace detail {

template <pte_format Format, class P>
QUIRE_INLINE constexpr void announce_locally(P& policies, input_address address) noexcept {
  const input_address page = address.align_down(Format::shape.page_bytes());
  policies.invalidation.local({page, page + (Format::shape.page_bytes() - 1), 0, true, invalidation_reason::relaxed});
}

// Of an entry that is not grantable.
template <pte_format Format>
[[nodiscard]] QUIRE_INLINE constexpr write_grant why_not_granted(typename Format::word entry, int level) noexcept {
  const entry_kind kind = Format::kind_of(entry, level);
  if (kind == entry_kind::locked) return write_grant::busy;
  if (kind != entry_kind::leaf) return write_grant::not_mapped;
  if (level != 0 || Format::group_of(entry, 0) != 0) return write_grant::not_page;
  return write_grant::not_permitted;
}

}  // namespace detail

// Makes the page leaf that translates `address` writable, and sets what the hardware would trap on if it were clear:
// dirty, and accessed where the hardware does not set it itself.
//
// mark() runs once, on the side of the exchange that the locking policy says.
// - Before it, under a lock that keeps the harvest out: an observer that sees the write permission must already see the
//   mark. The exchange has release order for that. A mark without a grant (the entry was changed away meanwhile)
//   over-reports, which is harmless.
// - After it, without a lock, and behind a full fence: a harvest that takes the mark sees the grant; and a mark() that
//   asks whether the log is on sees that it was switched on, or whoever switched it on sees the grant
//   (dirty/dirty_log.hpp).
// The compare-exchange expects the whole entry, so an accessed bit that the hardware adds meanwhile is kept by going
// round again. The loser of a race ends its own stale translation too, or it would fault forever.
template <pte_format Format, class P, class Mark>
[[nodiscard]] QUIRE_INLINE constexpr write_grant grant_write(P& policies, table_address root, input_address address,
                                                             Mark&& mark) noexcept {
  constexpr bool mark_first = P::locking::dirty == dirty_order::mark_then_grant;
  using word = typename Format::word;
  memory_in_loop<std::remove_reference_t<decltype(policies.memory)>> memory = policies.memory;
  return descend_then<Format, P::locking::reader_order>(
      memory, root, address,
      [&]<int Level>(table_address table, std::size_t i, word entry) QUIRE_INLINE_LAMBDA -> write_grant {
        if constexpr (Level != 0) return detail::why_not_granted<Format>(entry, Level);
        else {
          if (!Format::is_grantable(entry)) [[unlikely]]
            return detail::why_not_granted<Format>(entry, 0);
          if constexpr (mark_first) mark();
          for (;;) {
            // made() and not operator(): of a leaf, both changes apply.
            word writable_entry = Format::make_writable.made(entry);
            if constexpr (!Format::facts.sets_accessed) writable_entry = Format::set_accessed.made(writable_entry);
            if (writable_entry == entry) {
              detail::announce_locally<Format>(policies, address);
              return write_grant::already;
            }
            if (memory.template compare_exchange<word>(table, i, entry, writable_entry, order::release)) [[likely]] {
              if constexpr (!mark_first) {
                policies.words.fence(order::seq_cst);
                mark();
              }
              policies.maintenance.published();
              detail::announce_locally<Format>(policies, address);
              return write_grant::granted;
            }
            if (!Format::is_grantable(entry)) return detail::why_not_granted<Format>(entry, 0);
          }
        }
      });
}

template <pte_format Format, class P>
constexpr result<void> relax_page(P& policies, table_address root, input_address address, permissions rights) noexcept {
  using word = typename Format::word;
  const auto change = Format::relax(rights);
  if (!change) return error{change.error().code, -1, address.value};
  auto found = descend<Format, P::locking::reader_order>(policies.memory, root, address);
  for (;;) {
    if (Format::kind_of(found.entry, found.level) != entry_kind::leaf)
      return no_leaf<Format>(found.entry, found.level, address);
    if (found.level != 0 || Format::group_of(found.entry, 0) != 0)
      return error{errc::unsupported_level, static_cast<std::int8_t>(found.level), address.value};
    if (rights.contains(writable) && (found.entry & Format::may_write_bit) == 0)
      return error{errc::not_permitted, 0, address.value};
    const word relaxed = (*change)(found.entry);
    if (relaxed == found.entry && !Format::attributes_of(relaxed, 0).allowed.contains(rights))
      return error{errc::unsupported_attribute, 0, address.value};
    if (relaxed == found.entry ||
        policies.memory.template compare_exchange<word>(found.table, found.index, found.entry, relaxed, order::release))
      break;
  }
  policies.maintenance.published();
  detail::announce_locally<Format>(policies, address);
  return {};
}

// Relaxed: the bit publishes nothing. The next sample is only as fresh as the caller's invalidation makes it.
template <pte_format Format, class P>
constexpr result<bool> age_page(P& policies, table_address root, input_address address) noexcept {
  using word = typename Format::word;
  auto found = descend<Format, P::locking::reader_order>(policies.memory, root, address);
  for (;;) {
    if (Format::kind_of(found.entry, found.level) != entry_kind::leaf)
      return no_leaf<Format>(found.entry, found.level, address);
    if (found.level != 0 || Format::group_of(found.entry, 0) != 0)
      return error{errc::unsupported_level, static_cast<std::int8_t>(found.level), address.value};
    if (!Format::is_accessed(found.entry)) return false;
    const word aged = Format::clear_accessed(found.entry);
    if (policies.memory.template compare_exchange<word>(found.table, found.index, found.entry, aged, order::relaxed))
      return true;
  }
}

}  // namespace quire
