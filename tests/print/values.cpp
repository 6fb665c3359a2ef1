// SPDX-License-Identifier: MIT
#include <quire/print/stream.hpp>

#include <iomanip>  // setw
#include <sstream>  // ostringstream
#include <string>   // string

#include <quire/print/entry_text.hpp>  // described_entry, described_format

#include "support/typed.hpp"

using namespace quire;

namespace {

template <class T>
std::string text(const T& value) {
  std::ostringstream stream;
  stream << value;
  return stream.str();
}

constexpr input_address in{0x8000'0000};

// All of it is there at compile time.
static_assert(text_of(read_write).view() == "rw-");
static_assert(text_of(table_address{0x1000}).view() == "table:0x1000");

struct no_text {};
static_assert(!printable<int> && !printable<no_text> && !printable<result<no_text>>);

}  // namespace

TEST_CASE("sizes are exact, in the largest unit that divides them") {
  const auto size = [](std::uint64_t bytes) { return std::string(short_text{}.append_size(bytes).view()); };
  CHECK(size(64) == "64 B");
  CHECK(size(4096) == "4 KiB");
  CHECK(size(0x18'0000) == "1536 KiB");
  CHECK(size(0x20'0000) == "2 MiB");
  CHECK(size(0x4000'0000) == "1 GiB");
  CHECK(size(std::uint64_t{1} << 63) == "8 EiB");
  CHECK(size(0) == "16 EiB");
}

TEST_CASE("a text that does not fit says so") {
  short_text full;
  for (std::size_t i = 0; i < short_text::capacity; ++i) full.append("x");
  CHECK(full.view().back() == 'x');
  full.append("y");
  CHECK(full.view().size() == short_text::capacity);
  CHECK(full.view().substr(short_text::capacity - 4) == "x...");
}

TEST_CASE("addresses are told apart") {
  CHECK(text(in) == "input:0x80000000");
  CHECK(text(output_address{0}) == "output:0x0");
  CHECK(text(table_address{~std::uint64_t{0}}) == "table:0xffffffffffffffff");
}

TEST_CASE("ranges name both ends and the size, or their defect") {
  CHECK(text(input_range::sized(in, 0x10'0000)) == "input:0x80000000-0x800fffff (1 MiB)");
  CHECK(text(input_range::closed(input_address{0}, input_address{~std::uint64_t{0}})) ==
        "input:0x0-0xffffffffffffffff (16 EiB)");
  CHECK(text(input_range::sized(in, 0)) == "empty_range at input:0x80000000");
}

TEST_CASE("attributes are words in one order") {
  CHECK(text(attributes{.allowed = all_access, .may_write = true, .dirty = true}) ==
        "rwx- may_write accessed dirty normal");
  CHECK(text(attributes{.allowed = read_execute,
                        .memory = memory_type::device,
                        .accessed = false,
                        .software = 3,
                        .from = privilege::user,
                        .global = true}) == "r-xu device global software:3");
  CHECK(text(attributes{.from = privilege::supervisor}) == "---s accessed normal");
}

TEST_CASE("errors say what, where and at which level") {
  CHECK(text(error{errc::not_mapped, 1, 0x1000}) == "not_mapped at input:0x1000, level 1");
  CHECK(text(error{errc::beyond_input, -1, 0x1000}) == "beyond_input at input:0x1000");
  CHECK(text(error{errc::marked, 0, 0}) == "marked at input:0x0, level 0");
  CHECK(text(error{errc::no_root}) == "no_root");
  CHECK(text(errc::busy) == "busy");
}

TEST_CASE("results are their value or the error") {
  CHECK(text(result<void>{}) == "done");
  CHECK(text(result<bool>{true}) == "yes");
  CHECK(text(result<std::uint64_t>{std::uint64_t{17}}) == "17");
  CHECK(text(result<output_address>{output_address{0x1000}}) == "output:0x1000");
  CHECK(text(result<output_address>{errc::no_root}) == "error: no_root");
}

TEST_CASE("mappings, findings and requests are one line each") {
  const mapping page{in, output_address{0x1000}, 0x1'0000, {.allowed = readable}, 0, 4};
  CHECK(text(page) == "input:0x80000000-0x8000ffff -> output:0x1000 64 KiB level 0 group of 16 r--- accessed normal");
  CHECK(text(foreign_mapping{page, readable}) == text(page));
  CHECK(text(foreign_mapping{page, no_access}) == text(page) + " effective:---");
  CHECK(text(foreign_finding{foreign_defect::cycle, 1, in, table_address{0x2000}, 3, 0x801}) ==
        "cycle at input:0x80000000, level 1, table:0x2000 entry 3: 0x801");
  CHECK(text(invalidation_request{in, in + 0xfff, 0, true, invalidation_reason::removed}) ==
        "removed input:0x80000000-0x80000fff (4 KiB), level 0, leaves only");
  CHECK(text(invalidation_request{in, in + 0xfff, -1, false, invalidation_reason::resized}) ==
        "resized input:0x80000000-0x80000fff (4 KiB), any level");
}

TEST_CASE("enumerators are printed as they are spelled") {
  CHECK(text(memory_type::non_cacheable) == "non_cacheable");
  CHECK(text(privilege::supervisor) == "supervisor");
  CHECK(text(entry_kind::locked) == "locked");
  CHECK(text(partial::whole) == "whole");
  CHECK(text(write_grant::not_permitted) == "not_permitted");
  CHECK(text(fault_outcome::fixed_fast) == "fixed_fast");
  CHECK(text(fault_path::slow) == "slow");
  CHECK(text(block_recovery::on_fault) == "on_fault");
  CHECK(text(foreign_defect::torn_group) == "torn_group");
}

TEST_CASE("a stream's width and fill are for the whole text") {
  std::ostringstream stream;
  stream << std::left << std::setfill('.') << std::setw(6) << read_write << std::right << std::setw(6) << errc::busy;
  CHECK(stream.str() == "rw-.....busy");
}

TEST_CASE("formats say what they are") {
  CHECK(text(riscv::sv39x4::shape) == "3 levels of 11 9 9 bits, pages of 4 KiB, 41 bits of input");
  CHECK(text(described_format<riscv::sv39>{}) ==
        "3 levels of 9 9 9 bits, pages of 4 KiB, 39 bits of input in two halves, 56 bits of output");
}

TEST_CASE("entries of a known format, to the letter") {
  using format = riscv::sv39x4;
  const auto entry = [](std::uint64_t word, int level) { return text(described_entry<format>{word, level}); };
  CHECK(entry(*format::leaf(output_address{0x8020'0000}, {.allowed = all_access, .dirty = true}, 1), 1) ==
        "0x00000000200801df leaf output:0x80200000 2 MiB rwx- may_write accessed dirty normal");
  CHECK(entry(format::table(table_address{0x8000'1000}, 1), 1) == "0x0000000020000401 table table:0x80001000");
  CHECK(entry(format::marker(7), 0) == "0x0000000000001e00 marker payload:0x7");
  CHECK(entry(format::locked, 0) == "0x00000000000000a0 locked");
  CHECK(entry(0, 0) == "0x0000000000000000 absent");
  CHECK(entry(0x5, 0) == "0x0000000000000005 malformed leaf output:0x0 4 KiB -w-- normal");
}

QUIRE_TYPED_TEST("what was encoded is what the text says", quire_test::all_formats) {
  constexpr auto from = quire_test::ordinary_privilege<Format>;
  for (int level = 0; level < Format::shape.levels; ++level)
    for (int group = 0; group < 32; ++group) {
      if (((Format::group_sizes(level) >> group) & 1U) == 0) continue;
      const std::uint64_t bytes = Format::shape.leaf_bytes(level) << group;
      const output_address output{Format::facts.output_bits < 64 && bytes >> Format::facts.output_bits != 0 ? 0
                                                                                                            : bytes};
      const auto leaf = Format::leaf(output, {.allowed = read_write, .may_write = true, .from = from}, level, group);
      if (!leaf) continue;
      const std::string said = text(described_entry<Format>{*leaf, level});
      INFO(said);
      CHECK(said.find("malformed") == std::string::npos);
      const std::string wanted = " leaf " + text(output) + " " + std::string(short_text{}.append_size(bytes).view());
      CHECK(said.find(wanted + " rw") != std::string::npos);
      CHECK(said.find(" may_write accessed") != std::string::npos);
    }
}
