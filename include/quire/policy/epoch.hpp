// SPDX-License-Identifier: MIT
// epoch_reclaim: gives tables back once every read section that could be inside them has ended, without an OS.
//
//   epoch_reclaim domain{slots, count};          one slot for each thread that is in sections at the same time
//   epoch_section section{domain, 3};            a thread's own handle, for slot 3
//   table.concurrent(section)                    enters; its end leaves, then retires what it unlinked
//   section.collect(links, source)               gives back what may go; call it now and then, and at the end
//
// An epoch is an odd number, the next one two more; 0 says "in none". Who writes what: a slot is written by its owner
// alone, the epoch by whoever advances it (compare-exchange). A table waits in its owner's slot, on a list that is
// threaded through the waiting tables (`links`: links.set(table, next), links.next(table)).
//
// Why it is right. A reader announces the epoch e that it read, then fences; so whoever unlinks a table, fences, and
// then reads the epoch, reads e or a later one if the reader may have seen the table (a table is tagged with what was
// read). The epoch moves on only when every announced epoch is the present one. So while that reader is inside, the
// epoch is at most one step past the table's tag, and a table is given back only when it is two steps past it.
//
// Progress: entering, leaving and retiring never wait. Tables wait as long as the longest section.
//
// `Words`: the policy through which the epoch and the slots are reached (shared_words.hpp).
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/address.hpp>              // table_address
#include <quire/contract.hpp>             // QUIRE_EXPECTS
#include <quire/policy/shared_words.hpp>  // shared_words_policy

namespace quire {

// A list of tables through their own words.
struct table_list {
  table_address top{};
  std::size_t count = 0;

  template <class Links>
  constexpr void push(Links& links, table_address table) noexcept {
    links.set(table, top);
    top = table;
    ++count;
  }
  template <class Links>
  constexpr table_address pop(Links& links) noexcept {
    QUIRE_EXPECTS(count != 0);
    const table_address table = top;
    top = links.next(table);
    --count;
    return table;
  }
};

// One thread's part. Its own cache line: entering a section must not disturb other threads.
struct alignas(64) epoch_slot {
  std::uint64_t announced = 0;  // 0: outside
  struct {
    table_list tables;
    std::uint64_t epoch = 0;
  } waiting[3];
};

template <shared_words_policy Words>
class basic_epoch_section;

template <shared_words_policy Words>
class basic_epoch_reclaim {
 public:
  constexpr basic_epoch_reclaim(epoch_slot* slots, std::size_t count, Words words = {}) noexcept
      : slots_(slots), count_(count), words_(words) {}
  basic_epoch_reclaim(const basic_epoch_reclaim&) = delete;
  basic_epoch_reclaim& operator=(const basic_epoch_reclaim&) = delete;

  [[nodiscard]] std::uint64_t epoch() const noexcept { return words_.load(epoch_, order::acquire); }

  // One step, if no section stands in the way; gives the epoch then.
  std::uint64_t advance() noexcept {
    std::uint64_t now = epoch();
    words_.fence(order::seq_cst);
    for (std::size_t i = 0; i < count_; ++i) {
      // Acquire: what the section did is over before its tables are given back.
      const std::uint64_t announced = words_.load(slots_[i].announced, order::acquire);
      if (announced != 0 && announced != now) return now;
    }
    // Release: who reads the new epoch knows of the sections that were seen to be left. Acquire: of those others saw.
    if (words_.compare_exchange(epoch_, now, now + step, order::acq_rel)) return now + step;
    return now;
  }
  // Returns when every section that is open now has been left; pause() while one holds it up. Caller must: be in none.
  template <class Pause>
  void wait_for_sections(Pause&& pause) noexcept {
    words_.fence(order::seq_cst);  // what the caller did before is seen by every section that is not waited for
    std::uint64_t now = epoch();
    for (const std::uint64_t wanted = now + 2 * step; now < wanted;) {
      const std::uint64_t next = advance();
      if (next == now) pause();
      now = next;
    }
  }

 private:
  friend class basic_epoch_section<Words>;
  [[nodiscard]] epoch_slot& slot(std::size_t i) noexcept {
    QUIRE_EXPECTS(i < count_);
    return slots_[i];
  }

  static constexpr std::uint64_t step = 2;

  epoch_slot* slots_;
  std::size_t count_;
  [[no_unique_address]] Words words_;
  std::uint64_t epoch_ = 1;
};

// A thread's handle. Sections do not nest.
template <shared_words_policy Words>
class basic_epoch_section {
 public:
  basic_epoch_section(basic_epoch_reclaim<Words>& domain, std::size_t slot) noexcept
      : domain_(domain), mine_(domain.slot(slot)) {}

  QUIRE_INLINE void enter() noexcept {
    QUIRE_AUDIT(mine_.announced == 0);
    const Words& words = domain_.words_;
    // Relaxed: an old epoch holds the next ones back for longer, and the fence orders the rest.
    const std::uint64_t now = words.load(domain_.epoch_, order::relaxed);
    words.store(mine_.announced, now, order::relaxed);
    words.fence(order::seq_cst);  // announced before any entry is read
  }
  // Release: what was read inside was read before.
  QUIRE_INLINE void leave() noexcept { domain_.words_.store(mine_.announced, std::uint64_t{0}, order::release); }
  void pause() const noexcept {}

  // Requires: nothing leads to the table any more, no translation cache knows it, and the section was left.
  template <class Links, class Source>
  void retire(Links links, Source& source, table_address table) noexcept {
    domain_.words_.fence(order::seq_cst);  // unlinked before the epoch is read
    const std::uint64_t now = domain_.epoch();
    auto& bag = mine_.waiting[now / step % 3];
    if (bag.epoch != now) {  // three or more epochs old
      give_back(links, source, bag.tables);
      bag.epoch = now;
    }
    bag.tables.push(links, table);
  }
  // Gives back what nobody can be inside any more; gives how many still wait.
  template <class Links, class Source>
  std::size_t collect(Links links, Source& source) noexcept {
    const std::uint64_t now = domain_.advance();
    std::size_t left = 0;
    for (auto& bag : mine_.waiting) {
      if (bag.tables.count != 0 && bag.epoch + 2 * step <= now) give_back(links, source, bag.tables);
      left += bag.tables.count;
    }
    return left;
  }

 private:
  static constexpr std::uint64_t step = basic_epoch_reclaim<Words>::step;

  template <class Links, class Source>
  static void give_back(Links& links, Source& source, table_list& tables) noexcept {
    while (tables.count != 0) source.give_back(tables.pop(links));
  }

  basic_epoch_reclaim<Words>& domain_;
  epoch_slot& mine_;
};

using epoch_reclaim = basic_epoch_reclaim<direct_words>;
using epoch_section = basic_epoch_section<direct_words>;

}  // namespace quire
