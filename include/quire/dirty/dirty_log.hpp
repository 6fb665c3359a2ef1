// SPDX-License-Identifier: MIT
// The dirty log of one slot: enable, get, clear, disable.
//
// Tracking by write protection. A fault marks a page and makes it writable (fault.hpp); a harvest takes the mark and
// protects the page again; when it returns, the invalidation is complete. So whatever was written before the harvest
// returned is in what it gave, or in the next. In which order the two steps of either come is the locking policy's
// (policy/locking.hpp); where a lock separates faults and harvest, each pair is one critical section of it.
//
// Without such a lock (locking::concurrent) a page is marked after it became writable. So
// - the last harvest must come when no fault is on its way: the vCPUs have stopped, and left their fault handlers;
// - whether the log is on is asked after the page became writable, behind a full fence, and enable() switches it on,
//   fences, and then protects: either the fault sees the switch and marks, or the protection finds the page writable,
//   and takes it back before the first full copy.
//
// Modes, as in KVM's dirty log protocol:
//   manual_protect   get() only copies; clear() takes the bits it is given and protects those pages. Without it get()
//                    does both.
//   initially_set    (needs manual_protect) the log starts with every page set, and enabling neither protects nor
//                    splits: clear() does, piece by piece.
// Eager split: at enable() of the whole slot, or with initially_set at clear() of the blocks touched; switched at run
// time.
//
// `Guard`: what a session of the table is opened with. A lock is the table's own; a section belongs to the thread that
// calls enable, get, clear and disable. Caller must: make these calls of one log one at a time (they may drop the lock
// or leave the section on the way); faults may come at any moment beside them.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/dirty/harvest.hpp>      // dirty_harvest
#include <quire/dirty/memory_slot.hpp>  // memory_slot
#include <quire/dirty/sink.hpp>         // dirty_sink
#include <quire/table/page_table.hpp>   // page_table

namespace quire {

struct dirty_log_mode {
  bool manual_protect = true;
  bool initially_set = false;
};

// What becomes of the pages when logging ends: they stay pages and regain their rights on demand; they become blocks at
// once; or each block is made by the first fault in it (fault.hpp).
enum class block_recovery : unsigned char { none, in_place, on_fault };

template <class Table, class Guard, dirty_sink Sink>
class dirty_log {
  using format = typename Table::format;
  using locking = typename Table::locking;

 public:
  // `control` may be changed at any time between calls; the next call heeds it.
  dirty_log(Table& table, Guard& guard, const memory_slot& slot, Sink sink, const eager_split_control& control) noexcept
      : table_(table), guard_(guard), slot_(slot), sink_(sink), control_(control) {}
  dirty_log(const dirty_log&) = delete;
  dirty_log& operator=(const dirty_log&) = delete;

  // Acquire: who sees the log on finds it as enable() made it.
  [[nodiscard]] bool enabled() const noexcept { return words().load(enabled_, order::acquire); }
  [[nodiscard]] const memory_slot& slot() const noexcept { return slot_; }
  // Relaxed: a hint for faults.
  [[nodiscard]] block_recovery recovery() const noexcept {
    return static_cast<block_recovery>(words().load(recovery_, order::relaxed));
  }
  // Caller must: hold the read or the write side, and have found enabled(); or without a lock, have made the page
  // writable, fenced, and found enabled() since.
  void mark(input_address address) noexcept { sink_.mark(slot_.template page_index<format>(address)); }

  // Which walk the eager split uses; every_level is there to measure against.
  split_walk walk = split_walk::skip_level;

  // Starts logging. `cache` feeds the eager split alone. Errors: unsupported_attribute (initially_set without
  // manual_protect); those of check_range, no_root. On an error logging stays off.
  template <class Cache>
  [[nodiscard]] result<dirty_log_work> enable(dirty_log_mode mode, Cache& cache) noexcept {
    if (mode.initially_set && !mode.manual_protect) return errc::unsupported_attribute;
    const input_range range = slot_.template range<format>();
    dirty_log_work work;
    auto session = table_.session(guard_);
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    if (const auto root = table_.root(); !root) return root.error();
    mode_ = mode;
    set_recovery(block_recovery::none);
    if constexpr (harvestable_sink<Sink>) {
      if (mode.initially_set) sink_.set_all();
      else sink_.clear_all();
    }
    // Release, and before the protection: from here on every fault that gives a page its right to be written marks it.
    words().store(enabled_, true, order::release);
    if constexpr (!locking::harvest_excludes_faults) words().fence(order::seq_cst);
    if (mode.initially_set) return work;
    const auto all =
        in_pieces(session, range, [&](input_range piece) { return session.write_protect(piece, drop_dirty<format>); });
    if (!all) return all.error();
    work.split = splitter(session, cache)(range);
    return work;
  }

  // Copies the log into `words` (bitmap_words(pages) of them). Without manual_protect it is taken and the pages are
  // protected again. Errors: not_mapped when logging is off; no_root, before anything is taken, or on the way when the
  // table was destroyed while the lock was let go (then `words` names at least what was taken).
  template <class Cache>
  [[nodiscard]] result<dirty_log_work> get(std::uint64_t* words, Cache& cache) noexcept
    requires harvestable_sink<Sink>
  {
    const std::size_t n = bitmap_words(slot_.pages);
    auto session = table_.session(guard_);
    if (!enabled()) return errc::not_mapped;
    if (mode_.manual_protect) {
      for (std::size_t w = 0; w < n; ++w) words[w] = sink_.peek(w);
      return dirty_log_work{};
    }
    if (const auto root = table_.root(); !root) return root.error();
    for (std::size_t w = 0; w < n; ++w) words[w] = ~std::uint64_t{0};
    return harvest(session, cache, 0, slot_.pages, words, words);
  }

  // Takes from the log those of the pages [first_page, first_page + pages) that `words` names, and protects them again;
  // bit b of words[0] is first_page + b. Requires manual_protect. Errors, before anything is taken: not_mapped (logging
  // is off), unsupported_attribute (not in manual_protect mode), unaligned (first_page, or pages that do not reach the
  // slot's end, is no multiple of 64), beyond_input (past the slot), no_root (also as in get()).
  template <class Cache>
  [[nodiscard]] result<dirty_log_work> clear(std::uint64_t first_page, std::uint64_t pages, const std::uint64_t* words,
                                             Cache& cache) noexcept {
    auto session = table_.session(guard_);
    if (!enabled()) return error{errc::not_mapped, -1, slot_.first.value};
    if (!mode_.manual_protect) return error{errc::unsupported_attribute, -1, slot_.first.value};
    if (first_page > slot_.pages || pages > slot_.pages - first_page) return error{errc::beyond_input, -1, first_page};
    if (first_page % 64 != 0 || (pages % 64 != 0 && first_page + pages != slot_.pages))
      return error{errc::unaligned, -1, first_page};
    if (const auto root = table_.root(); !root) return root.error();
    return harvest(session, cache, static_cast<std::size_t>(first_page / 64), pages, words, nullptr);
  }

  // Ends logging. With block_recovery::in_place the slot's leaves regain the write permission where may_write is set,
  // and become blocks where slot and host allow; with the others that is left to the faults.
  template <memory_backing Backing>
  [[nodiscard]] result<dirty_log_work> disable(block_recovery recovery, Backing& backing) noexcept {
    dirty_log_work work;
    auto session = table_.session(guard_);
    if (!enabled()) return errc::not_mapped;
    words().store(enabled_, false, order::release);
    set_recovery(recovery);
    if (recovery != block_recovery::in_place) return work;
    const input_range range = slot_.template range<format>();
    const auto all = in_pieces(session, range, [&](input_range piece) { return session.restore_write(piece); });
    if (!all) return all.error();
    const auto level_at = [&](input_address at) {
      return slot_.template largest_level<format>(at, backing.mapped_level(slot_, at));
    };
    for (input_address at = range.first();;) {
      const int level = level_at(at);
      const std::uint64_t bytes = format::shape.leaf_bytes(level);
      // Neighbours of one size go together, for one invalidation serves them all; up to a boundary, for that is done in
      // one go.
      constexpr int highest = format::shape.root_level;
      const std::uint64_t together =
          format::shape.leaf_bytes(level == 0 ? (highest < 1 ? highest : 1) : (highest < 2 ? highest : 2));
      input_address last = at.align_down(bytes) + (bytes - 1);
      while (!(last + 1).is_aligned(together) && last < range.last() && level_at(last + 1) == level)
        last = last + bytes;
      if (level > 0) {
        const auto made = session.collapse(input_range::closed(at.align_down(bytes), last), level);
        if (made) work.blocks_recovered += made->leaves;
      }
      if (last >= range.last()) break;
      at = last + 1;
      if (!session.let_go(false, [] {})) return errc::no_root;
    }
    return work;
  }

 private:
  template <class Session, class Cache>
  [[nodiscard]] eager_splitter<Session, Cache> splitter(Session& session, Cache& cache) const noexcept {
    return {session, cache, control_, walk};
  }
  // Harvests those of the `pages` pages from word `first` on that `asked` names.
  template <class Session, class Cache>
  result<dirty_log_work> harvest(Session& session, Cache& cache, std::size_t first, std::uint64_t pages,
                                 const std::uint64_t* asked, std::uint64_t* taken) noexcept {
    const auto splits = splitter(session, cache);
    dirty_harvest<locking::harvest, Session, Cache, Sink> harvest{session, slot_, sink_,
                                                                  mode_.initially_set ? &splits : nullptr};
    return harvest.take(first, pages, asked, taken);
  }

  [[nodiscard]] const auto& words() const noexcept { return table_.policies().words; }
  void set_recovery(block_recovery recovery) noexcept {
    words().store(recovery_, static_cast<std::uint8_t>(recovery), order::relaxed);
  }

  // Calls change(piece) for pieces of the range, with a chance to let go of the lock between them. Errors: those of
  // change(); no_root.
  template <class Session, class Change>
  static result<void> in_pieces(Session& session, input_range range, Change&& change) noexcept {
    constexpr std::uint64_t piece_bytes = format::shape.leaf_bytes(format::shape.root_level);
    for (input_address at = range.first();;) {
      const input_address end{at.value | (piece_bytes - 1)};
      const input_address last = end < range.last() ? end : range.last();
      const auto done = change(input_range::closed(at, last));
      if (!done) return done.error();
      if (last == range.last()) return {};
      at = last + 1;
      if (!session.let_go(false, [] {})) return errc::no_root;
    }
  }

  Table& table_;
  Guard& guard_;
  memory_slot slot_;
  Sink sink_;
  const eager_split_control& control_;
  dirty_log_mode mode_{};
  std::uint8_t recovery_ = 0;  // a block_recovery
  bool enabled_ = false;
};

}  // namespace quire
