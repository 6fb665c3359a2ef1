// SPDX-License-Identifier: MIT
// The accessed and the dirty bit: where the hardware sets them, exactly what the guest touched is found, again and
// again; where it does not, it faults until they are set.
#pragma once

#include "scenario.hpp"

namespace bare {

template <quire::pte_format F>
class hardware_bits {
 public:
  static constexpr const char* name = "accessed and dirty bits";

  void operator()() noexcept {
    stamp_pages<F>(memory_);
    if constexpr (F::facts.has_accessed) {
      if constexpr (F::facts.sets_accessed) hardware_sets_accessed();
      else software_sets_accessed();
    }
    if constexpr (F::facts.has_dirty) {
      if constexpr (F::facts.sets_dirty) hardware_sets_dirty();
      else software_sets_dirty();
    }
  }

 private:
  using in_page = page_layout<F>;
  using set_of_pages = std::uint64_t;
  static constexpr std::uint64_t pages = 32;
  static constexpr set_of_pages sets[] = {0x0f0f'3355, 0x8000'0001, 0, 0xffff'0000, 0x5a5a'a5a5};

  [[nodiscard]] static attributes untouched() noexcept {
    return {.allowed = quire::all_access, .may_write = true, .accessed = !F::facts.has_accessed, .dirty = false};
  }
  [[nodiscard]] input_address page(std::uint64_t i) const noexcept { return seen_.at + i * in_page::bytes; }
  [[nodiscard]] std::uint64_t host(std::uint64_t i) const noexcept { return memory_.at() + i * in_page::bytes; }
  [[nodiscard]] static bool is_in(std::uint64_t i, set_of_pages set) noexcept { return (set >> i & 1U) != 0; }

  void map(leaf_size size, const attributes& wanted) noexcept {
    seen_ = view_of(memory_.at(), memory_.bytes(), size.bytes<F>());
    guest_.map(seen_, size, wanted);
  }
  void load(std::uint64_t i) noexcept { guest_.expect_page(page(i), host(i), "a load of a page that was untouched"); }
  void store(std::uint64_t i) noexcept {
    const guest_exit left = guest_.run({verb::store, page(i).value + in_page::scratch, i});
    guest_.expect_done(left, 0, "a store to a page that was untouched");
  }

  [[nodiscard]] set_of_pages accessed() noexcept {
    set_of_pages found = 0;
    auto session = guest_.change();
    for (std::uint64_t i = 0; i < pages; ++i)
      if (const auto leaf = session.lookup(page(i)); leaf && leaf->attrs.accessed) found |= set_of_pages{1} << i;
    return found;
  }
  void hardware_sets_accessed() noexcept {
    map({}, untouched());
    for (const set_of_pages touched : sets) {
      for (std::uint64_t i = 0; i < pages; ++i)
        if (is_in(i, touched)) i % 2 == 0 ? load(i) : store(i);
      const set_of_pages found = accessed();
      check(found == touched, "the pages that were touched are accessed, and no others", found ^ touched);
      const auto any = guest_.change().test_and_clear_accessed(input_range::sized(seen_.at, memory_.bytes()));
      check(any.has_value() && *any == (touched != 0), "the library finds whether any was");
      check(accessed() == 0, "then none is");
    }
    guest_.unmap(seen_);

    for_each_leaf_size<F>([&](leaf_size size) {
      map(size, untouched());
      for (const std::uint64_t i : {std::uint64_t{3}, pages - 1}) {
        load(i);
        check(is_in(i, accessed()), "a leaf of any size is accessed by a load of a page of it", page(i).value);
        const auto any = guest_.change().test_and_clear_accessed(quire::page_of<F>(page(i)));
        check(any.has_value() && *any && !is_in(i, accessed()), "and no longer when it was found", page(i).value);
      }
      guest_.unmap(seen_);
    });
  }
  void software_sets_accessed() noexcept {
    map({}, untouched());
    const guest_exit left = guest_.run({verb::load, page(0).value});
    if (left.why == guest_exit::reason::done) {
      not_enforced("a fault where the accessed bit is clear", 2 * pages);
    } else {
      for (std::uint64_t i = 0; i < pages; ++i) {
        guest_.expect_fault(guest_.run({verb::load, page(i).value + in_page::stamp}), page(i), quire::readable,
                            "a page that is not accessed faults");
        static_cast<void>(guest_.change().set_accessed(quire::page_of<F>(page(i))));
        guest_.expect_done(guest_.resume(), stamp_of(host(i)), "a page that is accessed does not");
      }
    }
    guest_.unmap(seen_);
  }

  // The pages whose leaves the library reports; a leaf of several pages is all of them.
  [[nodiscard]] set_of_pages dirty(bool clear) noexcept {
    set_of_pages found = 0;
    const auto report = [&](input_address at, std::uint64_t bytes) {
      for (std::uint64_t i = 0; i < pages; ++i)
        if (page(i) >= at && page(i) - at < bytes) found |= set_of_pages{1} << i;
    };
    const auto any = guest_.change().read_and_clear_dirty(input_range::sized(seen_.at, memory_.bytes()), report, clear);
    check(any.has_value() && *any == (found != 0), "the library says whether any is dirty");
    return found;
  }
  void hardware_sets_dirty() noexcept {
    map({}, untouched());
    for (const set_of_pages written : sets) {
      for (std::uint64_t i = 0; i < pages; ++i) is_in(i, written) ? store(i) : load(i);
      check(dirty(false) == written, "the pages that were written are dirty, and no others");
      const set_of_pages found = dirty(true);
      check(found == written, "they stay so until they are cleared", found ^ written);
      check(dirty(true) == 0, "then none is");
    }
    guest_.unmap(seen_);

    for_each_leaf_size<F>([&](leaf_size size) {
      map(size, untouched());
      for (const std::uint64_t i : {std::uint64_t{3}, pages - 1}) {
        load(i);
        check(dirty(false) == 0, "a leaf of any size is not dirty by a load", page(i).value);
        store(i);
        check(is_in(i, dirty(true)), "and is by a store", page(i).value);
      }
      guest_.unmap(seen_);
    });
  }
  void software_sets_dirty() noexcept {
    attributes clean = untouched();
    clean.accessed = true;
    map({}, clean);
    const guest_exit left = guest_.run({verb::store, page(0).value + in_page::scratch});
    if (left.why == guest_exit::reason::done) {
      not_enforced("a fault of a store where the dirty bit is clear", 2 * pages + 2);
    } else {
      for (std::uint64_t i = 0; i < pages; ++i) {
        guest_.expect_fault(guest_.run({verb::store, page(i).value + in_page::scratch, i}), page(i), quire::writable,
                            "a store to a clean page faults");
        static_cast<void>(guest_.change().relax(page(i), quire::read_write));
        guest_.expect_done(guest_.resume(), 0, "a store to a dirty page does not");
      }
      check(dirty(true) == 0xffff'ffff, "all are dirty");
    }
    guest_.unmap(seen_);
  }

  host_memory memory_{pages * in_page::bytes};
  view seen_{};
  guest<F> guest_;
};

}  // namespace bare
