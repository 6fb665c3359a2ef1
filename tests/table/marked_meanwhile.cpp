// SPDX-License-Identifier: MIT
// Hardware that marks leaves accessed and dirty while their rights are changed in runs and word by word: no mark may be
// lost, and every page has the rights that it was given. Whole tables of real formats, so that vectors are filled.
#include <algorithm>  // min
#include <cstddef>    // size_t
#include <cstdint>    // uint64_t
#include <cstdlib>    // aligned_alloc, free
#include <cstring>    // memset
#include <random>     // mt19937_64
#include <tuple>      // tuple
#include <vector>     // vector

#include <quire/format/arm64_stage2.hpp>  // arm64::stage2_4k
#include <quire/format/intel_ept.hpp>     // intel::ept
#include <quire/format/riscv_gstage.hpp>  // riscv::gstage
#include <quire/format/x86_64.hpp>        // x86::long_mode
#include <quire/table/page_table.hpp>     // page_table

#include "catch.hpp"
#include "support/scale.hpp"
#include "support/typed.hpp"

namespace {

using namespace quire;

// The marks of the pages of one table, and a walker that makes more of them now and then.
template <pte_format F>
class walker_of_hardware {
 public:
  using word = typename F::word;
  explicit walker_of_hardware(std::uint64_t seed) : random_(seed) {}

  void begin(word* pages) {
    pages_ = pages;
    marks_.assign(F::shape.entries(0), 0);
    for (std::size_t i = 0; i < marks_.size(); ++i) marks_[i] = static_cast<word>(pages_[i] & F::quiet_bits);
  }
  void walk() {
    if (pages_ == nullptr) return;
    for (std::uint64_t left = random_() % 3; left != 0; --left) {
      const std::size_t i = random_() % marks_.size();
      if (F::kind_of(pages_[i], 0) != entry_kind::leaf) continue;
      const bool writes = F::is_writable(pages_[i]) && random_() % 2 == 0;
      const word now = writes ? static_cast<word>(pages_[i] | F::quiet_bits) : F::set_accessed(pages_[i]);
      marks_[i] = static_cast<word>(marks_[i] | (now & F::quiet_bits));
      pages_[i] = now;
    }
  }
  void end() { pages_ = nullptr; }
  [[nodiscard]] std::size_t lost() const {
    std::size_t lost = 0;
    for (std::size_t i = 0; i < marks_.size(); ++i) lost += (marks_[i] & ~pages_[i]) != 0 ? 1U : 0U;
    return lost;
  }

 private:
  std::mt19937_64 random_;
  word* pages_ = nullptr;
  std::vector<word> marks_;
};

// Tables where their addresses say; between any two accesses the hardware may have written.
template <pte_format F>
struct walked_words {
  walker_of_hardware<F>* hardware;
  identity_memory words{};

  template <class W>
  [[nodiscard]] W load(table_address t, std::size_t i, order o) const noexcept {
    hardware->walk();
    return words.template load<W>(t, i, o);
  }
  template <class W>
  void store(table_address t, std::size_t i, W w, order o) const noexcept {
    hardware->walk();
    words.template store<W>(t, i, w, o);
  }
  template <class W>
  W exchange(table_address t, std::size_t i, W w, order o) const noexcept {
    hardware->walk();
    return words.template exchange<W>(t, i, w, o);
  }
  template <class W>
  [[nodiscard]] bool compare_exchange(table_address t, std::size_t i, W& e, W w, order o) const noexcept {
    hardware->walk();
    return words.template compare_exchange<W>(t, i, e, w, o);
  }
  template <class W>
  W fetch_and(table_address t, std::size_t i, W w, order o) const noexcept {
    hardware->walk();
    return words.template fetch_and<W>(t, i, w, o);
  }
  template <class W>
  W fetch_or(table_address t, std::size_t i, W w, order o) const noexcept {
    hardware->walk();
    return words.template fetch_or<W>(t, i, w, o);
  }
};
// The same with the run capability.
template <pte_format F>
struct walked_runs : walked_words<F> {
  template <class W>
  [[nodiscard]] W* own(table_address t, std::size_t first, std::size_t n) const noexcept {
    this->hardware->walk();
    return this->words.template own<W>(t, first, n);
  }
  template <class W>
  void written(table_address, std::size_t, std::size_t) const noexcept {
    this->hardware->walk();
  }
};

struct aligned_tables {
  [[nodiscard]] bool reserve(std::size_t) const { return true; }
  result<table_address> take(table_contents) { return take_root(4096); }
  void give_back(table_address table) { std::free(reinterpret_cast<void*>(table.value)); }
  result<table_address> take_root(std::uint64_t bytes) {
    void* const table = std::aligned_alloc(bytes, bytes);
    if (table == nullptr) return errc::no_memory;
    std::memset(table, 0, bytes);
    return table_address{reinterpret_cast<std::uintptr_t>(table)};
  }
  void give_back_root(table_address table, std::uint64_t) { give_back(table); }
};

template <pte_format F, class Memory>
struct walked : policies {
  Memory memory;
  aligned_tables tables;
  explicit walked(walker_of_hardware<F>& by) : memory{} { memory.hardware = &by; }
};

template <class F, class Memory>
std::size_t wrong_after_changes(std::uint64_t seed) {
  constexpr std::uint64_t page = F::shape.page_bytes();
  constexpr std::size_t pages = F::shape.entries(0);
  std::mt19937_64 random{seed};
  walker_of_hardware<F> hardware{seed};
  page_table<F, walked<F, Memory>> guest{walked<F, Memory>{hardware}};
  REQUIRE(guest.create());
  auto session = guest.exclusive();
  const auto stretch = [](std::size_t first, std::size_t n) {
    return input_range::sized(input_address{first * page}, n * page);
  };
  // Quiet all over, but for some stretches; a hole or two.
  std::vector<bool> mapped(pages), writable_now(pages);
  for (std::size_t first = 0; first < pages;) {
    const std::size_t n = std::min<std::size_t>(pages - first, 1 + random() % 200);
    const bool quiet = random() % 4 != 0, hole = random() % 8 == 0, writes = random() % 8 != 0;
    attributes wanted{.allowed = writes ? read_write : readable, .may_write = true};
    wanted.accessed = quiet || !F::facts.has_accessed;
    wanted.dirty = F::facts.has_dirty && quiet && writes;
    if (!hole) REQUIRE(session.map(stretch(first, n), output_address{first * page}, wanted, {.largest_level = 0}));
    for (std::size_t i = first; i < first + n; ++i) {
      mapped[i] = !hole;
      writable_now[i] = !hole && writes;
    }
    first += n;
  }
  table_address found = *session.root();
  for (int level = F::shape.root_level; level > 0; --level)
    found = F::table_of(*reinterpret_cast<const typename F::word*>(found.value), level);
  hardware.begin(reinterpret_cast<typename F::word*>(found.value));

  for (int change = 0; change < 12; ++change) {
    const std::uint64_t verb = random() % 4;
    std::size_t first = random() % pages, n = 1 + random() % (pages - first);
    if (random() % 2 == 0) {  // whole vectors and rounds
      first = first / 64 * 64;
      n = std::min<std::size_t>(pages - first, 64 * (1 + random() % 8));
    }
    std::uint64_t mask = ~std::uint64_t{0};
    if (verb == 0) {
      REQUIRE(session.write_protect(stretch(first, n)));
    } else if (verb == 1) {
      n = std::min<std::size_t>(64, pages - first);
      mask = random() % 2 == 0 ? ~std::uint64_t{0} : random();
      if (n < 64) mask &= (std::uint64_t{1} << n) - 1;
      REQUIRE(session.write_protect(input_address{first * page}, mask));
    } else if (verb == 2) {
      REQUIRE(session.restore_write(stretch(first, n)));
    } else REQUIRE(session.set_accessed(stretch(first, n)));
    if (verb != 3)
      for (std::size_t i = 0; i < n; ++i)
        if (verb != 1 || (mask >> i & 1) != 0) writable_now[first + i] = verb == 2 && mapped[first + i];
  }
  hardware.walk();
  std::size_t wrong = hardware.lost();
  for (std::size_t i = 0; i < pages; ++i) {
    const auto one = session.lookup(input_address{i * page});
    wrong +=
        one.has_value() != mapped[i] || (one && one->attrs.allowed.contains(writable) != writable_now[i]) ? 1U : 0U;
  }
  hardware.end();  // before the table goes
  return wrong;
}

using marked_formats = std::tuple<riscv::gstage<3, riscv::extensions{.svadu = true}>, riscv::sv39x4,
                                  arm64::stage2_4k<40>, intel::ept<4>, x86::long_mode<4>>;

}  // namespace

QUIRE_TYPED_TEST("marks that the hardware makes meanwhile are kept", marked_formats) {
  std::size_t in_runs = 0, by_words = 0;
  for (std::uint64_t seed = 1; seed <= quire_test::scaled(60); ++seed) {
    in_runs += wrong_after_changes<Format, walked_runs<Format>>(seed);
    by_words += wrong_after_changes<Format, walked_words<Format>>(seed);
  }
  CHECK(in_runs == 0);
  CHECK(by_words == 0);
}
