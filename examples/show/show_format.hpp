// SPDX-License-Identifier: MIT
// Makes, or finds in an image, a table of one format and shows it. Included once for each format.
#pragma once

#include <array>    // array
#include <memory>   // unique_ptr
#include <sstream>  // ostringstream

#include <quire/print/stream.hpp>  // operator<<
#include <quire/quire.hpp>         // page_table, table_block

#include "shown_format.hpp"
#include "support/formats.hpp"

namespace show {

inline constexpr std::uint64_t first_table = 0x1000'0000;
inline constexpr std::uint64_t sample_payload = 42;

template <class F>
using block_of =
    quire::table_block<typename F::word, first_table, quire::root_table_bytes<F>, quire::table_unit_bytes<F>, 256>;

template <class F>
struct in_a_block : quire::policies {
  quire::array_memory<typename F::word> memory;
  quire::block_tables<block_of<F>> tables;
  explicit in_a_block(block_of<F>& block) : memory(block.memory()), tables(block) {}
};

// log2 of the entries of the smallest group of pages; 0: there is none.
template <class F>
constexpr int smallest_group() {
  for (int group = 1; group < 32; ++group)
    if (((F::group_sizes(0) >> group) & 1U) != 0) return group;
  return 0;
}

// Two blocks; three pages, one that is read-only, one that is dirty, one of device memory; a group; a marker. A format
// that lacks one of these does without.
template <class F, class Session>
quire::result<void> map_sample(Session& session) {
  using quire::attributes, quire::input_address, quire::input_range, quire::output_address;
  constexpr std::uint64_t page = F::shape.page_bytes(), block = F::shape.leaf_bytes(1);
  constexpr std::uint64_t group = smallest_group<F>() == 0 ? 0 : page << smallest_group<F>();
  // Behind the pages, where a group may begin.
  constexpr std::uint64_t behind = group == 0 ? 0 : (8 * page + group - 1) / group * group;
  constexpr auto from = quire_test::ordinary_privilege<F>;
  const attributes writable{.allowed = quire::read_write, .may_write = true, .from = from};
  attributes dirty = writable, device = writable;
  dirty.dirty = true;
  device.memory = quire::memory_type::device;

  struct part {
    std::uint64_t input, output, bytes;
    attributes wanted;
  };
  const std::uint64_t pages = 4 * block;
  for (const part& each : std::array<part, 6>{{
           {2 * block, 4 * block, 2 * block, writable},
           {pages, 3 * page, 3 * page, writable},
           {pages + 4 * page, 8 * page, page, {.allowed = quire::readable, .from = from}},
           {pages + 5 * page, 9 * page, page, dirty},
           {pages + 6 * page, 16 * page, page, device},
           {pages + behind, 2 * group, group, writable},
       }}) {
    if (each.bytes == 0 || !F::leaf(output_address{0}, each.wanted, 0)) continue;
    const auto done = session.map(input_range::sized(input_address{each.input}, each.bytes),
                                  output_address{each.output}, each.wanted);
    if (!done) return done;
  }
  return session.annotate(input_range::sized(input_address{5 * block}, 2 * page), sample_payload);
}

template <class F, class Session>
std::string map_all(Session& session, const request& asked) {
  std::ostringstream trouble;
  if (asked.mappings.empty()) {
    if (const auto done = map_sample<F>(session); !done) trouble << "the sample: " << done.error();
    return trouble.str();
  }
  for (const wanted_mapping& each : asked.mappings) {
    const auto done = session.map(each.range, each.output,
                                  {.allowed = each.allowed,
                                   .may_write = each.allowed.contains(quire::writable),
                                   .from = quire_test::ordinary_privilege<F>});
    if (done) continue;
    trouble << "--map " << each.spelled << ": " << done.error();
    break;
  }
  return trouble.str();
}

template <class F>
table_report show_made(const request& asked, std::ostream& text) {
  table_report told;
  const auto block = std::make_unique<block_of<F>>();
  quire::page_table<F, in_a_block<F>> table{in_a_block<F>{*block}};
  if (!table.create()) return told;
  auto session = table.exclusive();
  told.root = *session.root();
  told.trouble = map_all<F>(session, asked);
  if (!told.trouble.empty()) return told;
  for (const quire::input_range& part : quire::input_parts<F>) {
    const auto done = session.for_each_mapping(
        part, [&](const quire::mapping& leaf) { told.mappings.push_back({leaf, leaf.attrs.allowed}); });
    if (!done) told.trouble = name_of(done.error().code);
  }
  if (const auto done = quire::dump(session, asked.style, text); !done) told.trouble = name_of(done.error().code);
  return told;
}

template <class F>
table_report show_image(const request& asked, std::ostream& text) {
  table_report told;
  told.root = asked.root;
  const quire::memory_dump image{asked.image->data(), asked.image->size(), asked.base};
  for (const quire::input_range& part : quire::input_parts<F>)
    static_cast<void>(quire::foreign_for_each_mapping<F>(
        image, asked.root, part, [&](const quire::foreign_mapping& leaf) { told.mappings.push_back(leaf); },
        [&](const quire::foreign_finding& finding) { told.findings.push_back(finding); }, asked.bounds));
  if (const auto done = quire::dump_foreign<F>(image, asked.root, asked.style, text, asked.bounds); !done)
    told.trouble = name_of(done.error().code);
  return told;
}

template <quire_test::format_name Name>
bool add_format() {
  using format = quire_test::format_named<Name>;
  formats().push_back({Name.text, std::string(quire::text_of(quire::described_format<format>{}).view()),
                       [](const request& asked, std::ostream& text) {
                         return asked.image ? show_image<format>(asked, text) : show_made<format>(asked, text);
                       }});
  return true;
}

}  // namespace show
