// SPDX-License-Identifier: MIT
// Structure: leaves of every size are split, collapsed, unmapped in part, led elsewhere and annotated, and every page
// of the memory behind stays what it is to the guest, but for those that were changed.
#pragma once

#include "scenario.hpp"

namespace bare {

template <quire::pte_format F>
class structure {
 public:
  static constexpr const char* name = "structure";

  void operator()() noexcept {
    stamp_pages<F>(memory_);
    stamp_pages<F>(other_);
    for_each_leaf_size<F>([&](leaf_size size) {
      seen_ = view_of(memory_.at(), memory_.bytes(), size.bytes<F>());
      guest_.map(seen_, size, leaf_for<F>(quire::all_access));
      guest_.expect_pages(seen_.at, memory_, "a leaf leads to all of its pages");
      if (size.level > 0 || size.group > 0) split(size);
      if (size.level > 0 && size.group == 0) collapse(size);
      holes();
      elsewhere();
      guest_.unmap(seen_);
      gone();
    });
  }

 private:
  using in_page = page_layout<F>;
  static constexpr std::uint64_t pages = 32, changed = 11;

  [[nodiscard]] input_address page(std::uint64_t i) const noexcept { return seen_.at + i * in_page::bytes; }
  [[nodiscard]] std::uint64_t host(std::uint64_t i) const noexcept { return memory_.at() + i * in_page::bytes; }
  [[nodiscard]] input_range one(std::uint64_t i) const noexcept { return quire::page_of<F>(page(i)); }
  void protect(std::uint64_t i, permissions allowed) noexcept {
    check(guest_.change().protect(one(i), allowed, quire::partial::split, guest_.tables(), nobody_asks_).has_value(),
          "the library protects a page", page(i).value);
  }
  void expect_neighbours(std::uint64_t i) noexcept {
    for (const std::uint64_t neighbour : {i - 1, i + 1})
      guest_.expect_rights(page(neighbour), host(neighbour), quire::all_access, "the neighbour of a changed page");
  }

  // First by itself; then, whole again, as part of a change of one page.
  void split(leaf_size size) noexcept {
    const input_range ours = input_range::sized(seen_.at, memory_.bytes());
    const auto done = guest_.change().split(ours, 0, guest_.tables());
    check(done.has_value() && !done->out_of_memory && (done->leaves > 0 || size.level == 0), "the library splits");
    guest_.check_size(page(0), {});
    guest_.check_size(page(pages - 1), {});
    guest_.expect_pages(seen_.at, memory_, "pages lead where their leaf led");

    guest_.unmap(seen_);
    guest_.map(seen_, size, leaf_for<F>(quire::all_access));
    protect(changed, quire::readable);
    guest_.check_size(page(changed), {});
    guest_.expect_rights(page(changed), host(changed), quire::readable, "one page of what was a leaf");
    expect_neighbours(changed);
    protect(changed, quire::all_access);
    guest_.expect_rights(page(changed), host(changed), quire::all_access, "it has its rights back");
  }
  void collapse(leaf_size size) noexcept {
    const auto made = guest_.change().collapse(seen_.leaves, size.level);
    check(made.has_value() && made->leaves > 0, "the library collapses");
    guest_.check_size(page(changed), size);
    guest_.expect_pages(seen_.at, memory_, "a leaf leads where its pages led");
    guest_.expect_rights(page(changed), host(changed), quire::all_access, "a page of the leaf");
  }
  void holes() noexcept {
    check(guest_.change().unmap(one(changed)).has_value(), "the library unmaps a page");
    guest_.expect_rights(page(changed), host(changed), quire::no_access, "a page that was unmapped");
    expect_neighbours(changed);

    check(guest_.change().annotate(one(changed), 0x2a, guest_.tables()).has_value(), "the library annotates");
    guest_.expect_rights(page(changed), host(changed), quire::no_access, "an annotation is nothing to the hardware");
    check(guest_.change().annotation(page(changed)).value_or(0) == 0x2a, "it says what it was given");
    expect_neighbours(changed);

    check(guest_.change().unmap(one(changed)).has_value(), "the library takes the annotation away");
    guest_.map(page(changed), host(changed), in_page::bytes, leaf_for<F>(quire::all_access));
    guest_.expect_rights(page(changed), host(changed), quire::all_access, "the page is there again");
  }
  // A translation that outlives its leaf would show the old page.
  void elsewhere() noexcept {
    guest_.map(page(changed), other_.at(), in_page::bytes, leaf_for<F>(quire::all_access), {.replace = true});
    guest_.expect_rights(page(changed), other_.at(), quire::all_access, "a page that replaced another");
    expect_neighbours(changed);
    guest_.map(page(0), other_.at(), other_.bytes(), leaf_for<F>(quire::all_access), {.replace = true});
    guest_.expect_pages(page(0), other_, "pages that replaced others");
    guest_.expect_page(page(other_.bytes() / in_page::bytes), host(other_.bytes() / in_page::bytes),
                       "the first page that was not replaced");
  }
  void gone() noexcept {
    for (const std::uint64_t i : {std::uint64_t{0}, changed, pages - 1})
      guest_.expect_rights(page(i), host(i), quire::no_access, "after all was unmapped");
  }

  host_memory memory_{pages * in_page::bytes}, other_{8 * in_page::bytes};
  view seen_{};
  nobody_asks nobody_asks_{};
  guest<F> guest_;
};

}  // namespace bare
