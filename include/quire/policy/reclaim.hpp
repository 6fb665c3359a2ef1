// SPDX-License-Identifier: MIT
// Reclaim policy: what becomes of a table that was detached from the tree.
//
//   retire(source, table)   called once per table, after the invalidation that covers it has completed. The table must
//                           reach source.give_back() once no software walker can be inside it either.
#pragma once

#include <concepts>  // same_as
#include <cstddef>   // size_t

#include <quire/policy/memory.hpp>        // memory_policy
#include <quire/policy/table_source.hpp>  // table_source

namespace quire {

template <class R, class Source>
concept reclaim_policy = requires(R& r, Source& source, table_address table) {
  { r.retire(source, table) } -> std::same_as<void>;
};

// No software walker is ever beside a structural change: the table goes back at once.
struct immediate_reclaim {
  template <table_source Source>
  constexpr void retire(Source& source, table_address table) noexcept {
    source.give_back(table);
  }
};

// Keeps retired tables until collect(): for owners whose lockless readers end at a point the owner knows (a grace
// period). The list lives in the retired tables' second word; readers that are still inside see an entry that is not
// theirs to follow only if it reads as valid, so the link is shifted to leave the low bits (valid) clear.
template <class Memory, class Word = std::uint64_t>
  requires memory_policy<Memory, Word>
class deferred_reclaim {
 public:
  constexpr deferred_reclaim() = default;
  constexpr explicit deferred_reclaim(Memory memory) noexcept : memory_(memory) {}

  template <table_source Source>
  constexpr void retire(Source&, table_address table) noexcept {
    memory_.template store<Word>(table, 1, static_cast<Word>(top_.value), order::relaxed);
    top_ = table;
    ++waiting_;
  }
  // Gives back everything retired so far. Caller must: know that every reader begun before the last retire has ended.
  template <table_source Source>
  constexpr void collect(Source& source) noexcept {
    for (; waiting_ != 0; --waiting_) {
      const table_address table = top_;
      top_ = table_address{memory_.template load<Word>(table, 1, order::relaxed)};
      source.give_back(table);
    }
  }
  [[nodiscard]] constexpr std::size_t waiting() const noexcept { return waiting_; }

 private:
  [[no_unique_address]] Memory memory_{};
  table_address top_{};
  std::size_t waiting_ = 0;
};

static_assert(reclaim_policy<immediate_reclaim, no_tables> && !reclaim_policy<int, no_tables>);

}  // namespace quire
