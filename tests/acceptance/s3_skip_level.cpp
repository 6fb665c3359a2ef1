// SPDX-License-Identifier: MIT
// Skipped levels, seen from the one operation that may skip them: a split down to pages does not look at the pages of
// tables that are there already. What it leaves behind is the same; what it reads is not.
#include <quire/table/page_table.hpp>

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <memory>   // make_unique
#include <tuple>    // tuple
#include <vector>   // vector

#include <quire/policy/array_memory.hpp>     // array_memory
#include <quire/policy/observed_memory.hpp>  // observed_memory

#include "catch.hpp"
#include "support/formats.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire;

using real = std::tuple<riscv::sv39x4, riscv::sv48x4, arm64::stage2_4k<40>, arm64::stage2_4k<43>, arm64::stage2_4k<48>>;
using formats = std::tuple<riscv::sv39x4, riscv::sv48x4, arm64::stage2_4k<40>, arm64::stage2_4k<43>,
                           arm64::stage2_4k<48>, tiny::plain, tiny::inverted, tiny::deep>;
// Those with blocks of two sizes.
using two_block_formats = std::tuple<riscv::sv39x4, riscv::sv48x4, arm64::stage2_4k<40>, arm64::stage2_4k<43>,
                                     arm64::stage2_4k<48>, tiny::inverted, tiny::deep>;

// ---- a table in an array, whose every entry that is read is counted

struct entry_counter : memory_observer {
  std::size_t entries = 0;

  template <class Word>
  void loaded(table_address, std::size_t, Word) noexcept {
    ++entries;
  }
  void owned(table_address, std::size_t, std::size_t n) noexcept { entries += n; }
};

// Tables one after the other, never used twice: what two tables hold can be compared word by word.
template <class F>
struct table_block {
  using word = typename F::word;
  static constexpr std::uint64_t base = 0x10'0000;

  explicit table_block(std::size_t tables)
      : words(static_cast<std::size_t>((root_table_bytes<F> + tables * table_unit_bytes<F>) / sizeof(word))),
        end(words.size() * sizeof(word)) {}

  std::vector<word> words;
  std::uint64_t end;
  std::uint64_t used = 0;

  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>((end - used) / table_unit_bytes<F>); }
};
template <class F>
struct block_source {
  table_block<F>* block;

  [[nodiscard]] bool reserve(std::size_t n) noexcept { return n <= block->left(); }
  result<table_address> take(table_contents) noexcept { return take_root(table_unit_bytes<F>); }
  void give_back(table_address) noexcept {}
  result<table_address> take_root(std::uint64_t bytes) noexcept {
    if (block->end - block->used < bytes) return errc::no_memory;
    const table_address table{table_block<F>::base + block->used};
    block->used += bytes;
    return table;
  }
  void give_back_root(table_address, std::uint64_t) noexcept {}
};

template <class F>
struct counted : policies {
  observed_memory<array_memory<typename F::word>, entry_counter, true> memory;
  block_source<F> tables;

  counted(table_block<F>& block, entry_counter& counter)
      : memory({block.words.data(), block.words.size(), table_block<F>::base}, &counter), tables{&block} {}
};

template <class F>
struct bed {
  table_block<F> block;
  entry_counter counter;
  page_table<F, counted<F>> table{counted<F>{block, counter}};

  explicit bed(std::size_t tables) : block(tables) { REQUIRE(table.create().has_value()); }

  void map(std::uint64_t first, std::uint64_t bytes, int largest_level) {
    const attributes wanted{.allowed = read_write, .may_write = true};
    REQUIRE(table.exclusive()
                .map(input_range::sized(input_address{first}, bytes), output_address{first}, wanted,
                     {.largest_level = largest_level})
                .has_value());
  }
  // Splits down to pages with these flags; gives the entries that were read.
  template <walk_flags Skip>
  std::size_t split(input_range range, split_result& done, std::size_t tables_left = ~std::size_t{0}) {
    const std::uint64_t end = block.end;
    if (tables_left < block.left()) block.end = block.used + tables_left * table_unit_bytes<F>;
    const std::size_t before = counter.entries;
    {
      block_source<F> source{&block};
      const auto result = table.exclusive().template split<Skip>(range, 0, source);
      REQUIRE(result.has_value());
      done = *result;
    }
    block.end = end;
    return counter.entries - before;
  }
};

// ---- what is mapped: one region of two entries of level 2

enum class layout { pages, small_blocks, large_blocks, mixed, holes };
constexpr layout layouts[] = {layout::pages, layout::small_blocks, layout::large_blocks, layout::mixed, layout::holes};

template <class F>
constexpr std::uint64_t region = 2 * F::shape.leaf_bytes(2);
template <class F>
constexpr std::size_t tables_of_region = 2 * (2 + tables_to_split<F>(2, 0));

template <class F>
std::unique_ptr<bed<F>> laid_out(layout how) {
  auto made = std::make_unique<bed<F>>(tables_of_region<F> + 8);
  constexpr std::uint64_t block = F::shape.leaf_bytes(1), large = F::shape.leaf_bytes(2);
  if (how == layout::pages) made->map(0, region<F>, 0);
  if (how == layout::small_blocks) made->map(0, region<F>, 1);
  if (how == layout::large_blocks) made->map(0, region<F>, 2);
  if (how == layout::mixed) {
    made->map(0, large, 2);
    for (std::uint64_t at = large; at < region<F>; at += block) made->map(at, block, at / block % 2 == 0 ? 0 : 1);
  }
  if (how == layout::holes)
    for (std::uint64_t at = 0; at < region<F>; at += block) {
      if (at / block % 4 == 0) made->map(at, block, 1);
      if (at / block % 4 == 1) made->map(at + F::shape.page_bytes(), block / 2, 0);
    }
  return made;
}

// Everything; begins and ends inside blocks; a part of one block.
template <class F>
std::vector<input_range> ranges() {
  constexpr std::uint64_t page = F::shape.page_bytes(), block = F::shape.leaf_bytes(1), large = F::shape.leaf_bytes(2);
  const auto between = [](std::uint64_t first, std::uint64_t end) {
    return input_range::half_open(input_address{first}, input_address{end});
  };
  return {between(0, region<F>), between(page, region<F> - page), between(block + page, large + block / 2),
          between(large - page, large + page), between(block / 2, block / 2 + page)};
}

template <class F>
constexpr walk_flags skips = split_skips<F>;
constexpr walk_flags looks_at_all{};

// A level whose leaves can still be split is never left out.
static_assert(split_skips<riscv::sv39x4>.skipped == 1 && split_skips<tiny::plain>.skipped == 1);
static_assert(split_skips<arm64::stage2_4k<40, arm64::stage2_options{.contiguous = true}>>.skipped == 0);
static_assert(split_skips<tiny::grouped>.skipped == 0 && split_skips<tiny::napot>.skipped == 0);

}  // namespace

QUIRE_TYPED_TEST("S3-1 a split that skips level 0 leaves the same tree", formats) {
  static_assert(skips<Format>.skipped == 1);
  for (const layout how : layouts)
    for (const input_range range : ranges<Format>())
      for (const std::size_t tables_left : {~std::size_t{0}, std::size_t{3}, std::size_t{0}}) {
        const auto looking = laid_out<Format>(how);
        const auto skipping = laid_out<Format>(how);
        split_result all, some;
        static_cast<void>(looking->template split<looks_at_all>(range, all, tables_left));
        static_cast<void>(skipping->template split<skips<Format>>(range, some, tables_left));
        REQUIRE(skipping->block.used == looking->block.used);
        REQUIRE(skipping->block.words == looking->block.words);
        REQUIRE(some.leaves == all.leaves);
        REQUIRE(some.tables == all.tables);
        REQUIRE(some.out_of_memory == all.out_of_memory);
        REQUIRE(some.stopped_at == all.stopped_at);
      }
}

namespace {

// A visitor that does not compile for pages, and is told to step over the tables that lead to them.
struct above_pages {
  std::size_t runs = 0;

  template <class Run>
  auto leaves(Run) {
    static_assert(Run::level > 0 && Run::passes_tables == (Run::level == 1));
    ++runs;
    return run_stop<typename Run::format::word>::done();
  }
};

// The entries above level 0 that translate some part of [0, bytes).
template <class F>
std::size_t entries_above_pages(std::uint64_t bytes) {
  std::size_t n = 0;
  for (int level = 1; level < F::shape.levels; ++level)
    n += static_cast<std::size_t>((bytes - 1) / F::shape.leaf_bytes(level) + 1);
  return n;
}

}  // namespace

QUIRE_TYPED_TEST("S3-2 16 GiB of pages are not read one by one", real) {
  constexpr std::uint64_t bytes = std::uint64_t{16} << 30U;
  bed<Format> pages((bytes >> 21U) + 64);
  pages.map(0, bytes, 0);
  const auto before = pages.block.words;
  const auto whole = input_range::sized(input_address{0}, bytes);
  split_result done;

  const std::size_t looked = pages.template split<looks_at_all>(whole, done);
  CHECK(done.leaves == 0);
  CHECK(looked == entries_above_pages<Format>(bytes) + (bytes >> 12U));
  const std::size_t skipped = pages.template split<skips<Format>>(whole, done);
  CHECK(done.leaves == 0);
  CHECK(skipped == entries_above_pages<Format>(bytes));
  CHECK(looked >= 400 * skipped);
  CHECK(pages.block.words == before);

  // That no page is shown to a visitor, the compiler knows.
  above_pages visitor;
  auto& memory = pages.table.policies().memory;
  CHECK(walk < walk_flag::leaf | walk_flag::skip_level<0> | walk_flag::stop_on_retry,
        Format > (memory, *pages.table.root(), whole, visitor) == error{});
  CHECK(visitor.runs == 1);
}

QUIRE_TYPED_TEST("S3-6 fresh tables of pages are not walked", formats) {
  constexpr std::uint64_t block = Format::shape.leaf_bytes(1);
  const auto blocks = laid_out<Format>(layout::small_blocks);
  split_result done;
  // The one block, and the entries above it; its pages once, to be written.
  const std::size_t read = blocks->template split<skips<Format>>(input_range::sized(input_address{0}, block), done);
  CHECK(done.leaves == 1);
  CHECK(done.tables == 1);
  CHECK(read == entries_above_pages<Format>(block) + Format::shape.entries(0));
}

QUIRE_TYPED_TEST("S3-6 fresh tables of blocks are walked and split again", two_block_formats) {
  constexpr std::uint64_t page = Format::shape.page_bytes(), block = Format::shape.leaf_bytes(1),
                          large = Format::shape.leaf_bytes(2);
  constexpr std::size_t children = Format::shape.entries(1);
  const auto as_large = [] {
    auto made = std::make_unique<bed<Format>>(tables_of_region<Format> + 8);
    made->map(0, large, 2);
    return made;
  };
  {
    // One table too few for the large block in one piece: one level at a time, as far as the tables reach.
    const auto blocks = as_large();
    const std::size_t tables = tables_to_split<Format>(2, 0) - 1;
    split_result done;
    static_cast<void>(blocks->template split<skips<Format>>(input_range::sized(input_address{0}, large), done, tables));
    CHECK(done.leaves == 1 + children - 1);
    CHECK(done.tables == tables);
    CHECK(done.out_of_memory);
    CHECK(done.stopped_at == input_address{large - block});
    CHECK(blocks->table.exclusive().lookup(input_address{0})->level == 0);
    CHECK(blocks->table.exclusive().lookup(input_address{large - page})->level == 1);
  }
  {
    // Part of the large block: only what the range touches goes down to pages.
    const auto blocks = as_large();
    split_result done;
    static_cast<void>(blocks->template split<skips<Format>>(input_range::sized(input_address{block / 2}, page), done));
    CHECK(done.leaves == 2);
    CHECK(done.tables == 2);
    CHECK_FALSE(done.out_of_memory);
    CHECK(blocks->table.exclusive().lookup(input_address{0})->level == 0);
    CHECK(blocks->table.exclusive().lookup(input_address{block})->level == 1);
  }
}

// ---- S3-9

namespace {

inline constexpr walk_flags skip0 = walk_flag::skip_level<0>;

// What operations are called with.
template <class Format>
struct arguments {
  using session = exclusive_session<page_table<Format, counted<Format>>, no_lock>;
  using report = void (*)(input_address, std::uint64_t);

  input_range range;
  input_address at;
  output_address out;
  attributes wanted;
  block_source<Format> source;
  report told;
};

// An operation takes walk flags as a template argument, or as one more argument; or else it does not.
template <class S, class A>
concept split_takes_flags = requires(S& s, A& a) { s.template split<skip0>(a.range, 0, a.source); };
template <class S, class A>
concept map_takes_flags = requires(S& s, A& a) { s.template map<skip0>(a.range, a.out, a.wanted); } ||
                          requires(S& s, A& a) { s.template map<skip0>(a.range, a.out, a.wanted, a.source); } ||
                          requires(S& s, A& a) { s.map(a.range, a.out, a.wanted, skip0); } ||
                          requires(S& s, A& a) { s.map(a.range, a.out, a.wanted, a.source, map_options{}, skip0); };
template <class S, class A>
concept unmap_takes_flags = requires(S& s, A& a) { s.template unmap<skip0>(a.range); } ||
                            requires(S& s, A& a) { s.template unmap<skip0>(a.range, partial::whole, a.source); } ||
                            requires(S& s, A& a) { s.unmap(a.range, skip0); } ||
                            requires(S& s, A& a) { s.unmap(a.range, partial::whole, a.source, nullptr, skip0); };
template <class S, class A>
concept discard_takes_flags = requires(S& s, A& a) { s.template discard<skip0>(a.range); } ||
                              requires(S& s, A& a) { s.discard(a.range, partial::whole, a.source, skip0); };
template <class S, class A>
concept protect_takes_flags = requires(S& s, A& a) {
  s.template protect<skip0>(a.range, readable);
} || requires(S& s, A& a) { s.protect(a.range, readable, partial::whole, a.source, a.told, skip0); };
template <class S, class A>
concept write_protect_takes_flags = requires(S& s, A& a) { s.template write_protect<skip0>(a.range, a.told); } ||
                                    requires(S& s, A& a) { s.template write_protect<skip0>(a.at, 1U, a.told); } ||
                                    requires(S& s, A& a) { s.write_protect(a.range, a.told, skip0); } ||
                                    requires(S& s, A& a) { s.write_protect(a.at, 1U, a.told, skip0); };
template <class S, class A>
concept relax_takes_flags = requires(S& s, A& a) { s.template relax<skip0>(a.at, writable); } ||
                            requires(S& s, A& a) { s.relax(a.at, writable, skip0); };
template <class S, class A>
concept age_takes_flags = requires(S& s, A& a) { s.template test_and_clear_accessed<skip0>(a.range); } ||
                          requires(S& s, A& a) { s.test_and_clear_accessed(a.range, skip0); };
template <class S, class A>
concept dirty_takes_flags = requires(S& s, A& a) { s.template read_and_clear_dirty<skip0>(a.range, a.told); } ||
                            requires(S& s, A& a) { s.read_and_clear_dirty(a.range, a.told, true, skip0); };
template <class S, class A>
concept others_take_flags =
    requires(S& s, A& a) { s.template collapse<skip0>(a.range); } ||
    requires(S& s, A& a) { s.template prune<skip0>(a.range); } ||
    requires(S& s, A& a) { s.template annotate<skip0>(a.range, 1U); } ||
    requires(S& s, A& a) { s.template for_each_mapping<skip0>(a.range, a.told); } ||
    requires(S& s, A& a) { s.collapse(a.range, 7, skip0); } || requires(S& s, A& a) { s.prune(a.range, skip0); } ||
    requires(S& s, A& a) { s.annotate(a.range, 1U, a.source, skip0); } ||
    requires(S& s, A& a) { s.for_each_mapping(a.range, a.told, skip0); };
template <class T>
concept destroy_takes_flags = requires(T& t) { t.template destroy<skip0>(std::size_t{1}); } ||
                              requires(T& t) { t.destroy(std::size_t{1}, skip0); };
// Without flags each of these calls is one: it is the flags that do not fit.
template <class S, class A>
concept calls_are_right = requires(S& s, A& a) {
  s.split(a.range, 0, a.source);
  s.map(a.range, a.out, a.wanted);
  s.map(a.range, a.out, a.wanted, a.source, map_options{});
  s.unmap(a.range);
  s.unmap(a.range, partial::whole, a.source, nullptr);
  s.discard(a.range, partial::whole, a.source);
  s.protect(a.range, readable, partial::whole, a.source, a.told);
  s.write_protect(a.range, a.told);
  s.write_protect(a.at, 1U, a.told);
  s.relax(a.at, writable);
  s.test_and_clear_accessed(a.range);
  s.collapse(a.range, 7);
  s.prune(a.range);
  s.annotate(a.range, 1U, a.source);
};

}  // namespace

QUIRE_TYPED_TEST("S3-9 only a split can be told to skip a level", formats) {
  using a = arguments<Format>;
  using s = typename a::session;
  static_assert(calls_are_right<s, a> && split_takes_flags<s, a>);
  static_assert(!map_takes_flags<s, a> && !unmap_takes_flags<s, a> && !discard_takes_flags<s, a>);
  static_assert(!protect_takes_flags<s, a> && !write_protect_takes_flags<s, a> && !relax_takes_flags<s, a>);
  static_assert(!age_takes_flags<s, a> && !dirty_takes_flags<s, a> && !others_take_flags<s, a>);
  static_assert(!destroy_takes_flags<page_table<Format, counted<Format>>>);

  // And of their own accord they skip nothing: each page is read, and each is changed.
  const auto pages = laid_out<Format>(layout::pages);
  const auto whole = input_range::sized(input_address{0}, region<Format>);
  constexpr std::size_t n = static_cast<std::size_t>(region<Format> / Format::shape.page_bytes());
  const auto reads_every_page = [&](auto&& operation) {
    const std::size_t before = pages->counter.entries;
    operation();
    return pages->counter.entries - before >= n;
  };
  const auto count_pages = [&](auto&& wanted) {
    std::size_t found = 0;
    REQUIRE(pages->table.exclusive()
                .for_each_mapping(whole, [&](const auto& m) { found += m.level == 0 && wanted(m.attrs) ? 1U : 0U; })
                .has_value());
    return found;
  };
  const attributes same{.allowed = read_write, .may_write = true};
  CHECK(reads_every_page([&] { CHECK(pages->table.exclusive().map(whole, output_address{0}, same).has_value()); }));
  CHECK(reads_every_page([&] { CHECK(*pages->table.exclusive().test_and_clear_accessed(whole)); }));
  CHECK(count_pages([](const attributes& found) { return !found.accessed; }) == n);
  const auto told = [](auto&&...) {};
  CHECK(reads_every_page([&] { CHECK(*pages->table.exclusive().write_protect(whole, told)); }));
  CHECK(count_pages([](const attributes& found) { return !found.allowed.contains(writable); }) == n);
  CHECK(pages->table.exclusive().relax(input_address{0}, read_write).has_value());
  CHECK(count_pages([](const attributes& found) { return found.allowed.contains(writable); }) == 1);
  CHECK(reads_every_page([&] { CHECK(pages->table.exclusive().unmap(whole).has_value()); }));
  CHECK(count_pages([](const attributes&) { return true; }) == 0);
}

QUIRE_TYPED_TEST("S3-9 the gain of a second split and the cost of the first", real) {
  const auto whole = input_range::sized(input_address{0}, region<Format>);
  for (const layout how : layouts) {
    const auto looking = laid_out<Format>(how);
    const auto skipping = laid_out<Format>(how);
    split_result done;
    const std::size_t first_looking = looking->template split<looks_at_all>(whole, done);
    const std::size_t first_skipping = skipping->template split<skips<Format>>(whole, done);
    CHECK(first_skipping <= first_looking);
    const std::size_t again_looking = looking->template split<looks_at_all>(whole, done);
    const std::size_t again_skipping = skipping->template split<skips<Format>>(whole, done);
    CHECK(again_skipping * 20 <= again_looking);  // at least 95 % fewer
  }
}
