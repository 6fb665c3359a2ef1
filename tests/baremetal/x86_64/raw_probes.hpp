// SPDX-License-Identifier: MIT
// What an emulator enforces, asked with entries that are written by hand: neither the library's walker nor its formats
// have a part in it. Each question is one check; each answer is the manual's, or one that emulators are known
// for, which is said and counts as well, or it fails.
//
// The path that is probed: an entry at each of four levels, the last for a page, in a half of the guest's first TiB
// where nothing else is. The guest's area is at 0.
#pragma once

#include <cstdint>  // uint64_t

#include "arch.hpp"
#include "frames.hpp"
#include "guest.hpp"
#include "policies.hpp"  // all_frames
#include "report.hpp"

namespace bare::raw {

inline constexpr std::uint64_t page_bytes = 0x1000, block_bytes = 0x20'0000, large_block_bytes = 0x4000'0000;
inline constexpr std::uint64_t probed = 0x80'0000'0000;  // entry 1 of the root, entry 0 of what is below
inline constexpr std::uint64_t function = 0x800;         // where a page has one

inline std::uint64_t* word_at(std::uint64_t address) { return reinterpret_cast<std::uint64_t*>(address); }

class tables {
 public:
  // What an entry has besides the address, where it leads to a table and to a page.
  tables(std::uint64_t table_bits, std::uint64_t page_bits) noexcept : memory_(new_memory(block_bytes)) {
    for (std::uint64_t& table : path_) table = new_memory(page_bytes);
    const std::uint64_t pdpt = new_memory(page_bytes), directory = new_memory(page_bytes),
                        pages = new_memory(page_bytes);
    word_at(path_[3])[0] = pdpt | table_bits;
    word_at(pdpt)[0] = directory | table_bits;
    word_at(directory)[0] = pages | table_bits;
    for (std::uint64_t at = 0; at < guest_area_bytes; at += page_bytes)
      word_at(pages)[at / page_bytes] = (guest_area() + at) | page_bits;

    for (int level = 3; level > 0; --level) (*this)[level] = path_[level - 1] | table_bits;
    (*this)[0] = memory_ | page_bits;
    for (std::uint64_t at = 0; at < block_bytes; at += page_bytes) {
      *word_at(memory_ + at) = 1000 + at / page_bytes;
      write_function(reinterpret_cast<void*>(memory_ + at + function), static_cast<unsigned>(at / page_bytes));
    }
  }

  [[nodiscard]] quire::table_address root() const noexcept { return quire::table_address{path_[3]}; }
  // The probed entry of a level, 0 is the page's.
  [[nodiscard]] std::uint64_t& operator[](int level) noexcept { return word_at(path_[level])[level == 3 ? 1 : 0]; }
  // A table of 512 entries that may stand at level 1.
  [[nodiscard]] std::uint64_t table_of_pages() const noexcept { return path_[0]; }
  // The entry for a page of the guest's area.
  [[nodiscard]] std::uint64_t& of_area(std::uint64_t address) noexcept {
    const std::uint64_t directory = word_at(word_at(path_[3])[0] & ~0xfffULL)[0] & ~0xfffULL;
    return word_at(word_at(directory)[0] & ~0xfffULL)[address / page_bytes];
  }
  // A block of 2 MiB, whose page n begins with the word 1000 + n; the probed page is page 0.
  [[nodiscard]] std::uint64_t memory() const noexcept { return memory_; }

 private:
  static std::uint64_t new_memory(std::uint64_t bytes) noexcept {
    const auto got = all_frames.allocate(bytes);
    check(got.has_value(), "there is memory");
    return got.value_or({}).value;
  }

  std::uint64_t memory_;
  std::uint64_t path_[4]{};
};

// What some emulators do in place of what the manual says.
enum class difference : std::uint8_t { none, not_enforced, told_otherwise };

inline void judge(bool as_in_manual, const char* what, const guest_exit& left,
                  difference known = difference::none) noexcept {
  const bool right = as_in_manual || known != difference::none;
  check(right, what);
  if (!right) {
    say("  ");
    say_exit(left);
    end_line();
  } else if (!as_in_manual && known == difference::not_enforced) {
    not_enforced(what);
  } else {
    say(as_in_manual ? "checked: " : "told otherwise by this emulator: ");
    say(what);
    end_line();
  }
}

inline bool gave(const guest_exit& left, std::uint64_t answer) noexcept {
  return left.why == guest_exit::reason::done && left.answer == answer;
}

inline constexpr command load{verb::load, probed}, store{verb::store, probed + 8, 5}, add{verb::add, probed + 16, 1},
    call{verb::call, probed + function};
inline constexpr std::uint64_t first_word = 1000;

// A guest behind these tables. Probes::enter() has the hardware walk them, and forget what it knows.
template <class Probes>
class path_probes {
 public:
  // The command with another entry at a level; afterwards the entry is what it was.
  guest_exit with(int level, std::uint64_t entry, const command& what) noexcept {
    const std::uint64_t before = tables_[level];
    tables_[level] = entry;
    static_cast<Probes&>(*this).enter();
    const guest_exit left = guest_.run(what);
    after_ = tables_[level];
    tables_[level] = before;
    return left;
  }
  guest_exit with_bits(int level, std::uint64_t set, std::uint64_t cleared, const command& what) noexcept {
    return with(level, (tables_[level] & ~cleared) | set, what);
  }
  void works(int level, std::uint64_t set, std::uint64_t cleared, const command& what, std::uint64_t answer,
             const char* text) noexcept {
    const guest_exit left = with_bits(level, set, cleared, what);
    judge(gave(left, answer), text, left);
  }

 protected:
  path_probes(std::uint64_t table_bits, std::uint64_t page_bits) noexcept : tables_(table_bits, page_bits) {}

  tables tables_;
  vcpu guest_{quire::input_address{0}};
  std::uint64_t after_ = 0;  // the entry, as the guest left it
};

}  // namespace bare::raw
