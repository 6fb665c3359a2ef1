// SPDX-License-Identifier: MIT
// Rights: every set that the format can say, in leaves of every size, as they are mapped and as they are changed.
#pragma once

#include "scenario.hpp"

namespace bare {

template <quire::pte_format F>
class protection {
 public:
  static constexpr const char* name = "protection";

  void operator()() noexcept {
    stamp_pages<F>(memory_);
    for_each_leaf_size<F>([&](leaf_size size) {
      seen_ = view_of(memory_.at(), memory_.bytes(), size.bytes<F>());
      for (std::uint8_t bits = 0; bits < 8; ++bits) {
        if (!can_be({bits}, size)) continue;
        guest_.map(seen_, size, leaf_for<F>({bits}));
        expect({bits}, "a leaf does what it was mapped for");
        unmap();
      }
      changes(size);
    });
  }

 private:
  using in_page = page_layout<F>;

  [[nodiscard]] static bool can_be(permissions allowed, leaf_size size) noexcept {
    return F::leaf(output_address{0}, leaf_for<F>(allowed), size.level, size.group).has_value();
  }
  // In the first and in the last page of the memory: they may be pages of one leaf.
  void expect(permissions allowed, const char* what) noexcept {
    for (const std::uint64_t page : {std::uint64_t{0}, memory_.bytes() - in_page::bytes})
      guest_.expect_rights(seen_.at + page, memory_.at() + page, allowed, what);
  }
  void unmap() noexcept {
    guest_.unmap(seen_);
    guest_.expect_fault(guest_.run({verb::load, seen_.at.value}), seen_.at, quire::readable,
                        "what was unmapped faults");
  }

  void changes(leaf_size size) noexcept {
    guest_.map(seen_, size, leaf_for<F>(quire::all_access));
    for (std::uint8_t bits = 0; bits < 8; ++bits) {
      if (!can_be({bits}, size)) continue;
      protect(quire::all_access);
      protect({bits});
      expect({bits}, "protect gives exactly these rights");
    }
    protect(quire::read_execute);
    check(guest_.change().relax(seen_.at, quire::read_write).has_value(), "the library relaxes");
    check(guest_.change().relax(seen_.at + (memory_.bytes() - in_page::bytes), quire::read_write).has_value(),
          "the library relaxes");
    expect(quire::all_access, "relax adds a right");

    check(guest_.change().write_protect(seen_.leaves, nobody_asks_).has_value(), "the library write-protects");
    expect(quire::read_execute, "write_protect takes one right");
    check(guest_.change().restore_write(seen_.leaves).has_value(), "the library restores");
    expect(quire::all_access, "restore_write gives it back");
    guest_.check_size(seen_.at, size);

    protect(quire::readable);
    check(guest_.change().restore_write(seen_.leaves).has_value(), "the library restores");
    expect(quire::readable, "restore_write gives nothing that protect took");
    unmap();
  }
  void protect(permissions allowed) noexcept {
    check(guest_.change()
              .protect(seen_.leaves, allowed, quire::partial::error, guest_.tables(), nobody_asks_)
              .has_value(),
          "the library protects", allowed.bits);
  }

  host_memory memory_{32 * in_page::bytes};
  view seen_{};
  nobody_asks nobody_asks_{};
  guest<F> guest_;
};

}  // namespace bare
