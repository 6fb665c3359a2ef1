// SPDX-License-Identifier: MIT
// Is what walk_cost computes what tables of the library really take, entry by entry? All is compared exactly.
#include "cost.hpp"

#include <array>    // array
#include <random>   // mt19937_64
#include <sstream>  // ostringstream
#include <string>   // string
#include <tuple>    // tuple
#include <vector>   // vector

#include <quire/dirty/eager_split.hpp>  // tables_for_chunk

#include "catch.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

#include "counted_table.hpp"
#include "layout.hpp"

namespace {

using namespace walk_cost;
using quire_test::format_named;

constexpr std::uint64_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;

std::string text_of(const cost& c) {
  std::ostringstream text;
  for (std::size_t level = most_levels; level-- != 0;)
    text << c.levels[level].read << '/' << c.levels[level].written << ' ';
  text << "tables " << c.tables << " invalidations " << c.invalidations;
  return text.str();
}
void check_cost(const char* what, const cost& measured, const cost& computed) {
  INFO(what << "\n  measured " << text_of(measured) << "\n  computed " << text_of(computed));
  CHECK(measured == computed);
}

template <class F>
class scenario {
 public:
  explicit scenario(const std::vector<region>& layout) {
    for (const region& each : layout) planned_.emplace_back(shape, each);
    for (const region& each : layout) paged_.emplace_back(shape, region{each.first, each.last, single_pages});
    layout_ = layout;
  }
  static constexpr table_shape shape = shape_of<F>();

  void run_split(walk_kind walk) {
    describe();
    counted_table<F> table{tables_of(shape, paged_).all()};
    map(table);
    for (std::size_t i = 0; i < planned_.size(); ++i) {
      check_cost("split", split(table, i, walk), split_cost(planned_[i], walk));
      for (const walk_kind again : {walk_kind::skip_level, walk_kind::every_level})
        check_cost("split again", split(table, i, again), split_cost(paged_[i], again));
    }
    check_tables(table, paged_);
    unmap(table, paged_);
  }
  void run_protected() {
    describe();
    counted_table<F> table{tables_of(shape, paged_).all()};
    map(table);
    look_up(table);
    for (std::size_t i = 0; i < planned_.size(); ++i) {
      check_cost("write-protect", write_protected(table, range(i)), write_protect_cost(planned_[i]));
      restore(table, i);
      static_cast<void>(split(table, i, walk_kind::skip_level));
      for (const std::uint64_t pages : {64U, 512U}) {
        check_cost("clear", cleared(table, i, pages), clear_log_cost(paged_[i], pages));
        restore(table, i);
      }
      check_cost("write-protect pages", write_protected(table, range(i)), write_protect_cost(paged_[i]));
    }
  }
  void run_unsplit() {
    describe();
    counted_table<F> table{tables_of(shape, planned_).all()};
    map(table);
    unmap(table, planned_);
  }

 private:
  void describe() {
    std::ostringstream text;
    for (const region& each : layout_)
      text << std::hex << each.first << ".." << each.last << " level " << each.leaves.largest_level << " groups "
           << each.leaves.groups << " alignment " << std::dec << each.leaves.alignment_bits << '\n';
    layout_text_ = text.str();
  }
  // The offsets of a region as addresses: in the upper half the bits above the geometry are set.
  [[nodiscard]] quire::input_range range(std::size_t i) const {
    const std::uint64_t outside = ~low_bits(shape.input_bits());
    const bool upper = shape.sign_extended && (layout_[i].first >> (shape.input_bits() - 1)) != 0;
    const std::uint64_t sign = upper ? outside : 0;
    return quire::input_range::closed(quire::input_address{layout_[i].first | sign},
                                      quire::input_address{layout_[i].last | sign});
  }
  static void check_tables(counted_table<F>& table, const std::vector<mapped_region>& regions) {
    const table_count computed = tables_of(shape, regions);
    CHECK(table.tables() == computed);
    CHECK(table.bytes() == computed.bytes(shape));
  }

  void map(counted_table<F>& table) {
    REQUIRE(table.create());
    for (std::size_t i = 0; i < layout_.size(); ++i) {
      const leaf_limits& leaves = layout_[i].leaves;
      const std::uint64_t skew = leaves.alignment_bits >= 64 ? 0 : std::uint64_t{1} << leaves.alignment_bits;
      const quire::output_address output{layout_[i].first + skew};
      const quire::map_options options{.largest_level = leaves.largest_level, .groups = leaves.groups};
      const cost measured = table.measure([&](auto& session) {
        REQUIRE(session.map(range(i), output,
                            {.allowed = quire::read_write,
                             .may_write = true,
                             .dirty = F::facts.sets_dirty,
                             .from = quire_test::ordinary_privilege<F>},
                            options));
      });
      INFO(layout_text_);
      check_cost("map", measured, map_cost(planned_[i], std::span{planned_}.first(i)));
      CHECK((layout_.size() != 1 || measured.tables == quire::tables_needed<F>(range(i), output, options)));
    }
    INFO(layout_text_);
    check_tables(table, planned_);
  }
  void look_up(counted_table<F>& table) {
    for (std::size_t i = 0; i < layout_.size(); ++i)
      for (const std::uint64_t address : {layout_[i].first, layout_[i].last}) {
        const quire::input_address at = range(i).first() + (address - layout_[i].first);
        int level = -1, group = 0;
        const cost found = table.measure([&](auto& session) {
          const auto mapping = session.lookup(at);
          REQUIRE(mapping);
          level = mapping->level;
          group = mapping->group;
        });
        INFO(layout_text_);
        CHECK(level == planned_[i].descent_ends_at(address));
        CHECK((group == 0 || planned_[i].groups(level, group) != 0));
        check_cost("lookup", found, lookup_cost(shape, level, group));
        const cost translated = table.measure([&](auto& session) { REQUIRE(session.translate(at)); });
        check_cost("translate", translated, translate_cost(shape, level));
      }
  }
  // Protecting some formats' leaves makes them clean, and that is told.
  template <class Session, class... What>
  static void protect(Session& session, const What&... what) {
    if constexpr (quire::protecting_loses_dirty<F>) {
      const auto nobody = [](quire::input_address, std::uint64_t) {};
      REQUIRE(session.write_protect(what..., nobody).value());
    } else REQUIRE(session.write_protect(what...).value());
  }
  cost write_protected(counted_table<F>& table, quire::input_range what) {
    return table.measure([&](auto& session) { protect(session, what); });
  }
  void restore(counted_table<F>& table, std::size_t i) {
    static_cast<void>(table.measure([&](auto& session) { REQUIRE(session.restore_write(range(i)).value()); }));
  }
  cost split(counted_table<F>& table, std::size_t i, walk_kind walk) {
    return table.measure([&](auto& session) {
      if (walk == walk_kind::skip_level) REQUIRE(session.split(range(i)));
      else REQUIRE(session.template split<quire::walk_flags{}>(range(i), 0, session.table().policies().tables));
    });
  }
  cost cleared(counted_table<F>& table, std::size_t i, std::uint64_t pages) {
    std::uint64_t calls = 0;
    cost sum = table.measure([&](auto& session) {
      for (std::uint64_t page = 0; page < planned_[i].pages(); page += pages, ++calls) {
        const std::uint64_t left = planned_[i].pages() - page, n = left < pages ? left : pages;
        const quire::input_address at = range(i).first() + (page << shape.page_bits);
        if (pages == 64) protect(session, at, low_bits(static_cast<int>(n)));
        else protect(session, quire::input_range::sized(at, n << shape.page_bits));
      }
    });
    sum.calls = calls;
    return sum;
  }
  void unmap(counted_table<F>& table, const std::vector<mapped_region>& regions) {
    for (std::size_t i = 0; i < regions.size(); ++i) {
      const cost measured = table.measure([&](auto& session) { REQUIRE(session.unmap(range(i))); });
      INFO(layout_text_);
      check_cost("unmap", measured,
                 unmap_cost(regions[i], std::span{regions}.first(i), std::span{regions}.subspan(i + 1)));
    }
    CHECK(table.unplaced == 0);
    CHECK(table.findings().empty());
  }

  std::vector<region> layout_;
  std::vector<mapped_region> planned_;
  std::vector<mapped_region> paged_;
  std::string layout_text_;
};

template <class F>
void check_all(const std::vector<region>& layout) {
  scenario<F> all{layout};
  all.run_split(walk_kind::skip_level);
  all.run_split(walk_kind::every_level);
  all.run_protected();
  all.run_unsplit();
}

// Some regions in ascending order, with ends that are aligned to anything, and limits of any kind.
template <class F>
std::vector<region> random_layout(std::mt19937_64& random, std::uint64_t space, std::uint64_t most_bytes) {
  constexpr table_shape shape = shape_of<F>();
  const auto below = [&](std::uint64_t n) { return random() % n; };
  std::vector<region> layout;
  std::uint64_t at = 0;
  for (std::uint64_t left = 1 + below(4); left != 0; --left) {
    const auto aligned = [&](std::uint64_t address) {
      const int bits = shape.shift(static_cast<int>(below(static_cast<std::uint64_t>(shape.levels))));
      const std::uint64_t to = address & ~low_bits(bits);
      return to < at ? address & ~low_bits(shape.page_bits) : to;
    };
    const std::uint64_t page = std::uint64_t{1} << shape.page_bits;
    const std::uint64_t first = below(3) == 0 ? at : aligned(at + below((space - at) / 2 + 1));
    if (first + page > space) break;
    const std::uint64_t end = aligned(first + page + below(space - first - page + 1));
    std::uint64_t bytes = end <= first ? page : end - first < most_bytes ? end - first : most_bytes;
    if (const std::uint64_t half = std::uint64_t{1} << (shape.input_bits() - 1);
        shape.sign_extended && first < half && first + bytes > half)
      bytes = half - first;
    leaf_limits leaves{.largest_level = static_cast<int>(below(static_cast<std::uint64_t>(shape.levels))),
                       .groups = below(2) == 0};
    if (below(3) == 0)
      leaves.alignment_bits =
          shape.page_bits + static_cast<int>(below(static_cast<std::uint64_t>(shape.shift(2) - shape.page_bits + 1)));
    layout.push_back({first, first + (bytes - 1), leaves});
    at = first + bytes;
  }
  return layout;
}

using checked_formats = quire_test::chosen_of<
    std::tuple<format_named<"riscv-sv39x4">, format_named<"riscv-sv48x4">, format_named<"riscv-sv39x4-svnapot">,
               format_named<"arm64-4k-40">, format_named<"arm64-4k-48">, format_named<"arm64-4k-40-dbm">,
               format_named<"arm64-4k-40-contiguous-1g">, format_named<"arm64-64k-48-contiguous">,
               format_named<"x86-64-4">, format_named<"intel-ept-4">, format_named<"amd-iommu-3">>>;
using tiny_formats = quire_test::chosen_of<
    std::tuple<format_named<"tiny-plain">, format_named<"tiny-wide-root">, format_named<"tiny-grouped">,
               format_named<"tiny-deep">, format_named<"tiny-pages-only">, format_named<"tiny-napot-sizes">>>;

// What is planned is known when a program is compiled, a petabyte as well as a page.
constexpr mapped_region petabyte{shape_of<format_named<"riscv-sv48x4">>(), {0, (std::uint64_t{1} << 50) - 1, {}}};
static_assert(tables_of(petabyte.shape(), std::span{&petabyte, 1}).all() == 1);
static_assert(map_cost(petabyte, {}).all() == entry_count{2 * 2048 + 1, 2048});
static_assert(split_cost(petabyte, walk_kind::skip_level).tables == 2048 * (1 + 512 + 512 * 512));
static_assert(clear_log_cost({petabyte.shape(), {0, petabyte.last(), single_pages}}, 64).calls == 1ULL << 32);

// The topmost page of 64 bits.
constexpr std::uint64_t top = ~std::uint64_t{0};
static_assert(first_section({shape_of<format_named<"amd-iommu-6">>(), {top << 12U, top, {}}}).pages() == 1);

}  // namespace

QUIRE_TYPED_TEST("tables of a chunk are those of the library", checked_formats) {
  constexpr table_shape shape = shape_of<Format>();
  for (int level = 0; level < shape.levels; ++level)
    CHECK(tables_for_chunk(shape, level) == quire::tables_for_chunk<Format>(std::uint64_t{1} << shape.shift(level)));
}

QUIRE_TYPED_TEST("costs of layouts", checked_formats) {
  const leaf_limits largest{};
  const leaf_limits blocks{.largest_level = 1};
  const leaf_limits apart{.alignment_bits = 21};
  check_all<Format>({{2 * gib, 3 * gib - 1, largest}});
  check_all<Format>({{2 * gib, 2 * gib + 512 * mib - 1, blocks}});
  check_all<Format>({{2 * gib + 64 * kib, 2 * gib + 320 * mib - 1, largest}});
  check_all<Format>(
      {{0, 640 * kib - 1, largest}, {mib, 130 * mib + 64 * kib - 1, apart}, {gib, gib + 128 * mib - 1, blocks}});
  check_all<Format>({{gib - 64 * kib, gib - 1, largest}, {gib, gib + 64 * kib - 1, largest}});
}

// What does not fit into a test's memory as pages is compared as it is mapped.
QUIRE_TYPED_TEST("costs of 64 GiB in leaves of every size", checked_formats) {
  scenario<Format>{{{0, 64 * gib - 1, {}}}}.run_unsplit();
  scenario<Format>{{{4 * gib, 68 * gib - 1, {.largest_level = 1}}}}.run_unsplit();
}
TEST_CASE("costs of 64 GiB in pages") {
  const std::vector<region> layout{{0, 64 * gib - 1, {.largest_level = 1}}};
  scenario<format_named<"riscv-sv39x4">> all{layout};
  all.run_split(walk_kind::skip_level);
  all.run_protected();
  scenario<format_named<"arm64-4k-48">>{layout}.run_split(walk_kind::skip_level);
}

QUIRE_TYPED_TEST("costs of random layouts", checked_formats) {
  std::mt19937_64 random{1};
  const std::uint64_t rounds = quire_test::scaled(20);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const std::uint64_t space = (std::uint64_t{64} * mib) << random() % 8;
    check_all<Format>(random_layout<Format>(random, space, 256 * mib));
  }
}

// Every end that a region can have, in a few dozen pages.
QUIRE_TYPED_TEST("costs of tiny tables", tiny_formats) {
  constexpr table_shape shape = shape_of<Format>();
  const std::uint64_t space = std::uint64_t{1} << shape.input_bits();
  std::mt19937_64 random{2};
  const std::uint64_t rounds = quire_test::scaled(400);
  for (std::uint64_t i = 0; i < rounds; ++i) check_all<Format>(random_layout<Format>(random, space, space));
}
