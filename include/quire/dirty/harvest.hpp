// SPDX-License-Identifier: MIT
// Harvesting: marks are taken from the log, and their pages protected again.
//
// For each word of 64 pages, or for up to eight that are set whole: take the bits and protect those pages, then split.
// Nothing between the first two lets go of the lock; splitting, the only part that needs memory, comes last. In which
// order the first two come is the locking policy's.
#pragma once

#include <cstddef>      // size_t
#include <cstdint>      // uint64_t
#include <type_traits>  // conditional_t

#include <quire/dirty/eager_split.hpp>  // split_eagerly
#include <quire/dirty/memory_slot.hpp>  // memory_slot
#include <quire/dirty/sink.hpp>         // harvestable_sink
#include <quire/policy/locking.hpp>     // harvest_order
#include <quire/table/change.hpp>       // change_outcome

namespace quire {

// What a call did besides its purpose.
struct dirty_log_work {
  std::uint64_t words_taken = 0;  // bitmap words in which something was set
  eager_split_result split{};
  std::size_t blocks_recovered = 0;
};

// Whether a walk looks at entries whose answer is known: skip_level, or for comparison not.
enum class split_walk : bool { skip_level, every_level };

// What is split for the sake of a log, and from what.
template <class Session, class Cache>
struct eager_splitter {
  Session& session;
  Cache& cache;
  const eager_split_control& control;
  split_walk walk;

  eager_split_result operator()(input_range range) const noexcept {
    const std::uint64_t chunk = control.chunk();
    if (chunk == 0) return {};
    if (walk == split_walk::skip_level)
      return split_eagerly<split_skips<typename Session::format>>(session, cache, range, chunk);
    return split_eagerly<walk_flags{}>(session, cache, range, chunk);
  }
};

// With arm64's hardware dirty bit protecting makes clean. What was dirty then is what the harvest reports (or, when
// logging begins, what the first full copy takes), so it need not be marked again.
struct dropped_dirty {
  constexpr void operator()(input_address, std::uint64_t) const noexcept {}
};
template <pte_format Format>
inline constexpr std::conditional_t<protecting_loses_dirty<Format>, dropped_dirty, nothing_reported> drop_dirty{};

// One harvest of `sink`. `splitter`: what splits the pages that were taken, or none.
template <harvest_order Order, class Session, class Cache, dirty_sink Sink>
class dirty_harvest {
  using format = typename Session::format;
  static constexpr int page_bits = format::shape.page_bits;
  static constexpr bool clear_first = Order == harvest_order::clear_then_protect;

 public:
  dirty_harvest(Session& session, const memory_slot& slot, Sink& sink,
                const eager_splitter<Session, Cache>* splitter) noexcept
      : session_(session), slot_(slot), sink_(sink), splitter_(splitter) {}

  // Those of the `pages` pages from word `first` on that `asked` names; what was taken goes to `taken`, which may be
  // `asked`, or to nowhere. Errors: no_root, when the table was destroyed while the lock was let go.
  result<dirty_log_work> take(std::size_t first, std::uint64_t pages, const std::uint64_t* asked,
                              std::uint64_t* taken) noexcept {
    for (std::size_t w = 0; w < bitmap_words(pages);) {
      const std::size_t whole = whole_words(first + w, asked + w, static_cast<std::size_t>(pages / 64) - w);
      if (whole > 1) {
        take_whole(first + w, whole);
        if (taken)
          for (std::size_t i = 0; i < whole; ++i) taken[w + i] = ~std::uint64_t{0};
        w += whole;
      } else {
        const std::uint64_t left = pages - std::uint64_t{w} * 64;
        const std::uint64_t there = left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
        const std::uint64_t bits = take_word(first + w, asked[w] & there);
        if (taken) taken[w] = bits;
        ++w;
      }
      if (!session_.let_go(false, [] {})) return errc::no_root;
    }
    return work_;
  }

 private:
  // Takes `asked` from a word of the log (of a sink that keeps none: all of it) and protects those pages. Gives what
  // was taken.
  std::uint64_t take_word(std::size_t word, std::uint64_t asked) noexcept {
    std::uint64_t taken = asked;
    if constexpr (harvestable_sink<Sink>) taken = clear_first ? sink_.take(word, asked) : sink_.peek(word) & asked;
    if (taken == 0) return 0;
    ++work_.words_taken;
    const input_address base = address_of(word);
    const auto done = session_.write_protect_to_split(base, taken, drop_dirty<format>);
    if constexpr (harvestable_sink<Sink> && !clear_first) static_cast<void>(sink_.take(word, taken));
    split(done, masked_range<format>(base, taken));
    return taken;
  }
  // How many words from `word` on, of `most` at the most, are asked for and set whole: those are harvested together.
  // Not many, for nothing is let go of in between.
  [[nodiscard]] std::size_t whole_words(std::size_t word, const std::uint64_t* asked, std::size_t most) const noexcept {
    constexpr std::size_t at_once = 8;
    const auto whole = [&](std::size_t i) {
      std::uint64_t bits = asked[i];
      if constexpr (harvestable_sink<Sink>) bits &= sink_.peek(word + i);
      return bits == ~std::uint64_t{0};
    };
    std::size_t n = 0;
    while (n < at_once && n < most && whole(n)) ++n;
    return n;
  }
  // As take_word(), of all the pages of `n` words.
  void take_whole(std::size_t word, std::size_t n) noexcept {
    const input_range pages = input_range::sized(address_of(word), std::uint64_t{n} * 64 << page_bits);
    const auto take = [&] {
      if constexpr (harvestable_sink<Sink>)
        for (std::size_t i = 0; i < n; ++i) static_cast<void>(sink_.take(word + i, ~std::uint64_t{0}));
    };
    work_.words_taken += n;
    if constexpr (clear_first) take();
    const auto done = session_.write_protect_to_split(pages, drop_dirty<format>);
    if constexpr (!clear_first) take();
    split(done, pages);
  }
  // What comes after the protection, if it left anything to split.
  void split(const result<change_outcome>& done, input_range pages) noexcept {
    // The slot was checked when logging began, and the root is there: but for a table of locking::concurrent that was
    // closed.
    QUIRE_EXPECTS(done.has_value() || done.error().code == errc::no_root);
    if (splitter_ == nullptr) return;
    if (done && done->is_split && splitter_->walk == split_walk::skip_level) return;
    work_.split += (*splitter_)(pages);
  }
  [[nodiscard]] input_address address_of(std::size_t word) const noexcept {
    return slot_.first + (std::uint64_t{word} * 64 << page_bits);
  }

  Session& session_;
  const memory_slot& slot_;
  Sink& sink_;
  const eager_splitter<Session, Cache>* splitter_;
  dirty_log_work work_{};
};

}  // namespace quire
