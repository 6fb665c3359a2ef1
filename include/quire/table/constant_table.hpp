// SPDX-License-Identifier: MIT
// A whole table that the compiler builds: a boot table in read-only data, finished before the first instruction.
//
//   [[gnu::section(".boot_tables")]] constinit const auto boot_tables =
//       quire::constant_table<format, 0x8020'0000, 3>([](auto& session) {
//         return session.map(ram, quire::output_address{0x8000'0000}, {.allowed = quire::all_access, .dirty = true});
//       });
//
// The object is the root and then the tables, and nothing else; the linker must place it at the physical address that
// is named here (entries cannot be relocated). What cannot be had (a range that is not aligned, too few tables) does
// not compile, and the error's name is in the message. What is left over of the tables stays zero: tables_needed() says
// how many a mapping takes.
//
// Read-only data is for tables that the hardware does not write: where it sets accessed or dirty itself, map with both
// set, or place the object in writable data.
//
// The compiler counts its steps in one evaluation. By default GCC 12 and clang 14 and 19 have enough for a root of 2048
// entries and 512 tables of 512 leaves: a gigabyte in pages of 4 KiB.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/policy/constant_tables.hpp>  // table_block, block_tables
#include <quire/table/page_table.hpp>        // page_table

namespace quire {

// The words of a finished table, and a look at what they say.
template <pte_format Format, std::uint64_t Base, std::size_t Tables>
struct table_image
    : table_block<typename Format::word, Base, root_table_bytes<Format>, table_unit_bytes<Format>, Tables> {
  using format = Format;
  static constexpr std::uint64_t last_byte = Base + (table_image::first_table + Tables * table_unit_bytes<Format> - 1);
  static_assert(Format::facts.output_bits >= 64 || last_byte >> Format::facts.output_bits == 0,
                "no entry can hold these addresses");

  // As of any table; for static_assert in the first place.
  [[nodiscard]] constexpr result<mapping> lookup(input_address address) const noexcept {
    const read_only image{*this};
    return look_up<Format>(image, this->root(), address);
  }

 private:
  struct read_only {
    const table_image& of;

    template <class Word>
    [[nodiscard]] constexpr Word load(table_address table, std::size_t i, order) const noexcept {
      return of.words[(table.value - Base) / sizeof(Word) + i];
    }
  };
};

// The policies that build an image, in constant evaluation or at run time.
template <class Image>
struct image_policies;
template <pte_format Format, std::uint64_t Base, std::size_t Tables>
struct image_policies<table_image<Format, Base, Tables>> : policies {
  using block = table_block<typename Format::word, Base, root_table_bytes<Format>, table_unit_bytes<Format>, Tables>;

  array_memory<typename Format::word> memory;
  block_tables<block> tables;

  constexpr explicit image_policies(block& to) noexcept : memory(to.memory()), tables(to) {}
};

// `build(session)` works on an empty table and gives the result<...> of the last thing it did; see above.
template <pte_format Format, std::uint64_t Base, std::size_t Tables, class Build>
[[nodiscard]] consteval table_image<Format, Base, Tables> constant_table(Build build) {
  using image = table_image<Format, Base, Tables>;
  image words{};
  page_table<Format, image_policies<image>> table{image_policies<image>{words}};
  const auto created = table.create();
  detail::expect_no_error(created.error().code, detail::every_errc{});
  {
    auto session = table.exclusive();
    const auto built = build(session);
    detail::expect_no_error(built.error().code, detail::every_errc{});
  }
  const image finished = words;  // the table takes its own words apart when it goes
  return finished;
}

}  // namespace quire
