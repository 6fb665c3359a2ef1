// SPDX-License-Identifier: MIT
// A layout that is mapped in a real table, and every operation on its regions compared with what is computed for it,
// exactly: entries read and written on each level, tables, invalidations, and the tables that there are.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <sstream>  // ostringstream
#include <string>   // string
#include <vector>   // vector

#include "catch.hpp"
#include "support/formats.hpp"

#include "counted_table.hpp"
#include "layout.hpp"

namespace walk_cost {

inline std::string text_of(const cost& c) {
  std::ostringstream text;
  for (std::size_t level = most_levels; level-- != 0;)
    text << c.levels[level].read << '/' << c.levels[level].written << ' ';
  text << "tables " << c.tables << " invalidations " << c.invalidations;
  return text.str();
}
inline void check_cost(const char* what, const cost& measured, const cost& computed) {
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

}  // namespace walk_cost
