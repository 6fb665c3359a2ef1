// SPDX-License-Identifier: MIT
// One bit of a leaf is wrong: what the format makes of the wrong word is what the hardware does. So it is for each bit
// of a page and of a block.
//
// A program in which run.py --flip has put the number of a bit maps its first page wrong on purpose, and ends after the
// scenario that does: it must fail, or its checks check nothing.
#pragma once

#include <cstdint>  // uint64_t
#include <utility>  // declval

#include <quire/walk/descend.hpp>  // descend

#include "scenario.hpp"

namespace bare {

// The entry of a leaf, to be changed behind the library's back and without the invalidation that it would owe.
template <class Guest>
class entry_of_leaf {
  using format = typename Guest::format;

 public:
  using word = typename format::word;

  entry_of_leaf(Guest& guest, input_address at) noexcept
      : memory_(guest.table().policies().memory),
        found_(quire::descend<format, quire::order::relaxed>(memory_, *guest.table().root(), at)) {}

  [[nodiscard]] word flipped(unsigned bit) const noexcept { return found_.entry ^ static_cast<word>(word{1} << bit); }
  void flip(unsigned bit) noexcept { store(flipped(bit)); }
  void restore() noexcept { store(found_.entry); }

 private:
  void store(word entry) noexcept {
    memory_.template store<word>(found_.table, found_.index, entry, quire::order::relaxed);
  }

  quire::direct_memory& memory_;
  decltype(quire::descend<format, quire::order::relaxed>(std::declval<quire::direct_memory&>(), {}, {})) found_;
};

// run.py finds it by its name.
struct flip_request {
  static constexpr unsigned char nothing = 0xFF;
  char name[15];
  unsigned char bit;
};
inline constinit volatile flip_request to_flip{"flip this bit:", flip_request::nothing};

[[nodiscard]] inline bool flips() noexcept { return to_flip.bit != flip_request::nothing; }

template <class Guest>
void flip_on_demand(Guest& guest, input_address at) noexcept {
  static constinit bool done = false;
  if (!flips() || done) return;
  done = true;
  entry_of_leaf<Guest>{guest, at}.flip(to_flip.bit);
}

// Bits of which no prediction is made. arm64, D8.4.2: XN[0], which FEAT_XNX gives a meaning, whether the format speaks
// of it or not.
template <quire::pte_format F>
inline constexpr std::uint64_t unpredicted_bits = 0;
template <quire::pte_format F>
  requires requires { F::options.execute_by_privilege; }
inline constexpr std::uint64_t unpredicted_bits<F> = F::options.execute_by_privilege ? 0 : std::uint64_t{1} << 53;

template <quire::pte_format F>
class flipped {
 public:
  static constexpr const char* name = "flipped bits";

  void operator()() noexcept {
    stamp_pages<F>(memory_);
    for (const int level : {0, 1})
      for (unsigned bit = 0; bit < sizeof(word) * 8; ++bit)
        if ((unpredicted_bits<F> >> bit & 1U) == 0) one_bit(level, bit);
  }

 private:
  using word = typename F::word;
  using in_page = page_layout<F>;
  // Where it is in the largest group, too, is the same for guest and host.
  static constexpr std::uint64_t pages = 128, page = 5;

  void one_bit(int level, unsigned bit) noexcept {
    const view seen = view_of(memory_.at(), memory_.bytes(), F::shape.leaf_bytes(level));
    const input_address at = seen.at + page * in_page::bytes;
    const std::uint64_t host = memory_.at() + page * in_page::bytes;
    guest_.map(seen, {.level = level}, leaf_for<F>(quire::all_access));
    entry_of_leaf<guest<F>> entry{guest_, at};
    const word wrong = entry.flipped(bit);
    // The hardware would take for a table, and write to, whatever memory the block leads to. And the neighbours of one
    // that says that it is of a group do not say so: anything may come of it.
    const bool is_leaf = F::kind_of(wrong, level) == quire::entry_kind::leaf && F::is_well_formed(wrong, level);
    const bool of_torn_group = is_leaf && F::group_of(wrong, level) != 0;
    if (F::kind_of(wrong, level) != quire::entry_kind::table && !of_torn_group) try_out(entry, bit, level, at, host);
    guest_.unmap(seen);
  }
  void try_out(entry_of_leaf<guest<F>>& entry, unsigned bit, int level, input_address at, std::uint64_t host) noexcept {
    const word wrong = entry.flipped(bit);
    entry.flip(bit);
    const guest_exit loaded = guest_.run({verb::load, at.value + in_page::stamp});
    const bool done = loaded.why == guest_exit::reason::done;

    const bool is_leaf = F::kind_of(wrong, level) == quire::entry_kind::leaf && F::is_well_formed(wrong, level);
    attributes says = is_leaf ? F::attributes_of(wrong, level) : attributes{};
    if (!quire::includes(says.from, quire::privilege::supervisor)) says.allowed = says.allowed - quire::executable;
    if (!is_leaf || (!says.accessed && !F::facts.sets_accessed) || !says.allowed.contains(quire::readable)) {
      if (done) not_enforced_bit(level, bit);
      else check(true, "a word that translates nothing faults");
    } else if (!leads_to(host, at, wrong, level)) {
      check(!done || loaded.answer != stamp_of(host), "another output address leads elsewhere", bit);
    } else if (says.memory == quire::memory_type::normal &&
               (says.dirty || !F::facts.has_dirty || F::facts.sets_dirty)) {
      guest_.expect_rights(at, host, says.allowed, "the rights that the format reads are those that there are");
    } else {
      check(done && loaded.answer == stamp_of(host), "memory of any type can be read", bit);
    }
    entry.restore();
    guest_.forget();
  }
  [[nodiscard]] static bool leads_to(std::uint64_t host, input_address at, word leaf, int level) noexcept {
    const std::uint64_t bytes = F::shape.leaf_bytes(level) << F::group_of(leaf, level);
    return F::output_of(leaf, level).value + at.value % bytes == host;
  }
  static void not_enforced_bit(int level, unsigned bit) noexcept {
    not_enforced(level == 0 ? "a fault of a wrong page, of which this bit is wrong:"
                            : "a fault of a wrong block, of which this bit is wrong:",
                 1);
    say("  bit ");
    say_number(bit);
    end_line();
  }

  host_memory memory_{pages * in_page::bytes};
  guest<F> guest_;
};

}  // namespace bare
