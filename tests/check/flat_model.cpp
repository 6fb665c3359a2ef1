// SPDX-License-Identifier: MIT
#include <quire/check/flat_model.hpp>

#include "catch.hpp"

#include "check/hand.hpp"

using namespace quire_test;
using quire::entry_kind;
using quire::errc;

namespace {
template <class F>
check::flat_model<F> whole_space() {
  return check::flat_model<F>{input_address{0}, 64};
}
template <class F>
std::string levels(const check::flat_model<F>& model, std::size_t first, std::size_t count) {
  std::string text;
  for (std::size_t i = first; i < first + count; ++i)
    text += model[i].kind != entry_kind::leaf ? '.'
                                              : static_cast<char>('0' + model[i].level + (model[i].group != 0 ? 5 : 0));
  return text;
}
constexpr attributes rw = dirtied;
}  // namespace

TEST_CASE("map takes the largest leaves that fit") {
  auto model = whole_space<direct>();
  CHECK(model.map(2, 10, output_address{2 * page}, rw)->pages == 10);
  CHECK(levels(model, 0, 13) == "..0011111111.");
  CHECK(model[7].output == 7 * page);
  auto shifted = whole_space<direct>();
  CHECK(shifted.map(4, 8, output_address{page}, rw));
  CHECK(levels(shifted, 4, 8) == "00000000");
  auto pages_only = whole_space<direct>();
  CHECK(pages_only.map(4, 8, output_address{0}, rw, 0));
  CHECK(levels(pages_only, 4, 8) == "00000000");
  auto grouped = whole_space<breaking>();
  CHECK(grouped.map(1, 15, output_address{page}, clean));
  CHECK(levels(grouped, 0, 16) == ".055111166666666");
}

TEST_CASE("map is all or nothing") {
  auto model = whole_space<direct>();
  CHECK(model.map(5, 1, output_address{0x1000}, rw));
  CHECK(model.map(4, 4, output_address{0}, rw).error().code == errc::already_mapped);
  CHECK(levels(model, 4, 4) == ".0..");
  model.annotate(6, 1, 3);
  CHECK(model.map(6, 1, output_address{0}, rw).error().code == errc::marked);
  CHECK(model.map(6, 0, output_address{0}, rw).error().code == errc::empty_range);
  CHECK(model.map(60, 5, output_address{0}, rw).error().code == errc::beyond_input);
  CHECK(model.map(8, 1, output_address{1}, rw).error().code == errc::unaligned);
  CHECK(model.map(4, 4, output_address{0}, rw, 2, true));
  CHECK(levels(model, 4, 4) == "1111");
}

TEST_CASE("map over the same output adds rights and takes none away") {
  auto model = whole_space<direct>();
  CHECK(model.map(4, 4, output_address{0}, read_only));
  CHECK(model.map(5, 1, output_address{page}, read_only)->pages == 0);
  CHECK(levels(model, 4, 4) == "1111");
  CHECK(model.map(5, 1, output_address{page}, rw).error().code == errc::already_mapped);  // part of the block
  CHECK(model.map(4, 4, output_address{0}, rw)->pages == 4);
  CHECK(levels(model, 4, 4) == "1111");
  CHECK(model[5].attrs.allowed == quire::read_write);
  CHECK(model.map(5, 1, output_address{page}, read_only)->pages == 0);
  CHECK(model[5].attrs.allowed == quire::read_write);
}

TEST_CASE("a leaf that is covered in part is split, taken whole, or refused") {
  auto model = whole_space<direct>();
  CHECK(model.map(0, 8, output_address{0}, rw));
  SECTION("split") {
    CHECK(model.unmap(2, 4)->pages == 4);
    CHECK(levels(model, 0, 8) == "00....00");
  }
  SECTION("whole") {
    CHECK(model.unmap(2, 4, check::partly::whole)->pages == 8);
    CHECK(levels(model, 0, 8) == "........");
  }
  SECTION("refused") {
    CHECK(model.unmap(2, 4, check::partly::error).error().code == errc::crosses_leaf);
    CHECK(levels(model, 0, 8) == "11111111");
  }
  SECTION("not needed") {
    CHECK(model.unmap(4, 4, check::partly::error)->pages == 4);
    CHECK(levels(model, 0, 8) == "1111....");
  }
  SECTION("a range inside one leaf") {
    CHECK(model.unmap(1, 2)->pages == 2);
    CHECK(levels(model, 0, 8) == "0..01111");
  }
}

TEST_CASE("a group is split into its entries") {
  auto model = whole_space<breaking>();
  CHECK(model.map(8, 8, output_address{8 * page}, clean));
  CHECK(levels(model, 8, 8) == "66666666");
  CHECK(model.unmap(9, 1)->pages == 1);
  CHECK(levels(model, 8, 8) == "0.001111");
}

TEST_CASE("unmap tells what was there, and takes markers along") {
  auto model = whole_space<direct>();
  CHECK(model.map(0, 2, output_address{0}, clean));
  model.set_dirty(1);
  model.annotate(2, 1, 3);
  const auto gone = model.unmap(0, 3);
  CHECK(gone->pages == 2);
  CHECK(gone->dirty);
  CHECK(gone->accessed);
  CHECK(model[2].kind == entry_kind::absent);
}

TEST_CASE("rights change as the format changes them") {
  auto model = whole_space<direct>();
  CHECK(model.map(0, 4, output_address{0}, rw));
  SECTION("write_protect takes the whole leaf and keeps may_write") {
    CHECK(model.write_protect(1, 1)->pages == 4);
    CHECK(levels(model, 0, 4) == "1111");
    CHECK(model[3].attrs.allowed == quire::readable);
    CHECK(model[3].attrs.may_write);
    CHECK(model.write_protect(1, 1)->pages == 0);
  }
  SECTION("protect splits, and takes may_write") {
    CHECK(model.protect(1, 1, quire::readable)->pages == 1);
    CHECK(levels(model, 0, 4) == "0000");
    CHECK_FALSE(model[1].attrs.may_write);
    CHECK(model[2].attrs.allowed == quire::read_write);
  }
  SECTION("relax adds") {
    CHECK(model.relax(0, 4, quire::executable)->pages == 4);
    CHECK(model[0].attrs.allowed == quire::all_access);
  }
  SECTION("accessed and dirty") {
    CHECK(model.read_and_clear_dirty(1, 1)->dirty);
    CHECK_FALSE(model[0].attrs.dirty);
    CHECK_FALSE(model.read_and_clear_dirty(1, 1)->dirty);
    CHECK(model.clear_accessed(1, 1)->accessed);
    CHECK_FALSE(model.clear_accessed(1, 1)->accessed);
  }
}

TEST_CASE("split and collapse are each other's reverse") {
  auto model = whole_space<direct>();
  CHECK(model.map(0, 8, output_address{0}, rw));
  CHECK(model.split(1, 1, 0).pages == 4);
  CHECK(levels(model, 0, 8) == "00001111");
  SECTION("uniform") {
    CHECK(model.read_and_clear_dirty(0, 2));
    CHECK(model.collapse(2, 1)->pages == 4);
    CHECK(levels(model, 0, 8) == "11111111");
    CHECK(model[0].attrs.dirty);
  }
  SECTION("other rights") {
    CHECK(model.write_protect(2, 1));
    CHECK(model.collapse(2, 1).error().code == errc::not_uniform);
  }
  SECTION("a hole") {
    CHECK(model.unmap(2, 1));
    CHECK(model.collapse(2, 1).error().code == errc::not_uniform);
  }
  SECTION("other output") {
    CHECK(model.map(2, 1, output_address{0x1000}, rw, 2, true));
    CHECK(model.collapse(2, 1).error().code == errc::not_uniform);
  }
  SECTION("a level without leaves") { CHECK(model.collapse(2, 2).error().code == errc::unsupported_level); }
}

TEST_CASE("a comparison finds every kind of difference") {
  hand<direct> h;
  auto model = whole_space<direct>();
  h.store(h.pages, 1, h.leaf(page, 0, clean));
  h.store(h.blocks, 1, h.leaf(block, 1, dirtied));
  h.store(h.pages, 3, direct::marker(7));
  REQUIRE(model.map(1, 1, output_address{page}, clean));
  REQUIRE(model.map(4, 4, output_address{block}, dirtied));
  model.annotate(3, 1, 7);
  const auto differ = [&](check::compare_options options = {}) {
    h.findings().clear();
    return model.differences(h.machine.memory(), h.root, h.findings(), options);
  };
  CHECK(differ() == 0);
  CHECK(h.findings().text() == "");
  SECTION("something more in the table") {
    h.store(h.pages, 0, h.leaf(0, 0));
    CHECK(differ() == 1);
    CHECK(h.findings().only(rule::difference));
  }
  SECTION("something less in the table") {
    h.store(h.blocks, 1, 0);
    CHECK(differ() == 4);
  }
  SECTION("another output") {
    h.store(h.pages, 1, h.leaf(0, 0));
    CHECK(differ() == 1);
  }
  SECTION("another payload") {
    h.store(h.pages, 3, direct::marker(8));
    CHECK(differ() == 1);
  }
  SECTION("left locked") {
    h.store(h.pages, 0, direct::locked);
    CHECK(differ() == 1);
  }
  SECTION("other rights") {
    h.store(h.pages, 1, h.leaf(page, 0, read_only));
    CHECK(differ() == 1);
  }
  SECTION("accessed and dirty, unless told not to look") {
    h.store(h.pages, 1, h.leaf(page, 0, dirtied));
    CHECK(differ() == 1);
    CHECK(differ({.dirty = false}) == 0);
    h.store(h.pages, 1, h.leaf(page, 0, not_accessed));
    CHECK(differ() == 1);
    CHECK(differ({.accessed = false}) == 0);
  }
  SECTION("leaf sizes, unless told not to look") {
    h.store(h.blocks, 1, direct::table(h.split_of(block, dirtied), 1));
    CHECK(differ() == 4);
    CHECK(differ({.sizes = false}) == 0);
    model.adopt_sizes(h.machine.memory(), h.root);
    CHECK(differ() == 0);
  }
  SECTION("outside the window") {
    check::flat_model<direct> window{input_address{4 * block}, 16};
    CHECK(window.differences(h.machine.memory(), h.root, h.findings()) == 3);
  }
}

TEST_CASE("a window may start anywhere") {
  check::flat_model<direct> model{input_address{region}, 16};
  CHECK(model.map(4, 4, output_address{block}, rw));
  CHECK(levels(model, 0, 16) == "....1111........");
  CHECK(model.address_of(4) == input_address{region + block});
  CHECK(model.page_of(input_address{region + block}) == 4);
  CHECK(model.leaf_of(6).first == 4);
}
