// SPDX-License-Identifier: MIT
// Invalidations that changes of entries owe, and what pays for them.
//
// A debt is paid by a request that covers it, piece by piece if need be, and settled when the requests have completed.
// A level hint must name the changed leaves; leaf_only does not pay for a table entry that changed.
#pragma once

#include <algorithm>  // max, min, remove_if
#include <cstddef>    // size_t
#include <cstdint>    // uint64_t
#include <vector>     // vector

#include <quire/policy/invalidation.hpp>  // invalidation_request

namespace quire::check {

enum class debt_kind : unsigned char {
  reduced,    // a right or a dirty bit is gone
  resized,    // the same translation in another size
  removed,    // the leaf is gone or other
  unlinked,   // the table entry is gone or other
  installed,  // something where "not mapped" may be cached
  linked,     // a table where "not mapped" may be cached
};

[[nodiscard]] inline const char* name_of(debt_kind kind) noexcept {
  static constexpr const char* names[] = {"reduced", "resized", "removed", "unlinked", "installed", "linked"};
  return names[static_cast<std::size_t>(kind)];
}

// Whether an old translation may still be cached where such a debt is owed.
[[nodiscard]] constexpr bool takes_away(debt_kind kind) noexcept {
  return kind == debt_kind::removed || kind == debt_kind::unlinked || kind == debt_kind::resized;
}

struct debt {
  std::uint64_t first;
  std::uint64_t last;
  std::uint64_t change;  // which change of the table it comes from
  int level;             // of the entry that changed
  debt_kind kind;
  bool added = false;  // invalidated, not completed
};

class owed_invalidations {
 public:
  [[nodiscard]] auto begin() const noexcept { return debts_.begin(); }
  [[nodiscard]] auto end() const noexcept { return debts_.end(); }
  [[nodiscard]] std::size_t size() const noexcept { return debts_.size(); }
  void clear() noexcept { debts_.clear(); }

  // Neighbouring debts of a kind become one.
  void owe(const debt& more) {
    if (!debts_.empty() && more.kind != debt_kind::unlinked && more.kind != debt_kind::linked) {
      debt& back = debts_.back();
      if (back.kind == more.kind && back.level == more.level && !back.added && more.first >= back.first &&
          (more.first <= back.last || more.first == back.last + 1)) {
        back.last = std::max(back.last, more.last);
        return;
      }
    }
    debts_.push_back(more);
  }
  void pay(const invalidation_request& request) {
    const std::size_t count = debts_.size();
    for (std::size_t i = 0; i < count; ++i) pay_one(i, request);
    forgive([](const debt& each) { return each.first > each.last; });
  }
  void complete() {
    forgive([](const debt& each) { return each.added; });
  }
  template <class Which>
  void forgive(Which which) {
    if (!debts_.empty()) debts_.erase(std::remove_if(debts_.begin(), debts_.end(), which), debts_.end());
  }

  // A removal from [first, last] at `level` that was never announced was none after all. Gives whether there was one.
  [[nodiscard]] bool withdraw(std::uint64_t first, std::uint64_t last, int level) {
    const auto meant = [&](const debt& each) {
      return !each.added && each.level == level && each.first <= last && first <= each.last &&
             (each.kind == debt_kind::removed || each.kind == debt_kind::unlinked);
    };
    bool any = false;
    for (std::size_t i = 0, count = debts_.size(); i < count; ++i) {
      const debt each = debts_[i];
      if (!meant(each)) continue;
      any = true;
      if (each.first < first) push_rest(each, each.first, first - 1);
      if (last < each.last) push_rest(each, last + 1, each.last);
      debts_[i].first = 1;
      debts_[i].last = 0;
    }
    forgive([](const debt& each) { return each.first > each.last; });
    return any;
  }

 private:
  [[nodiscard]] static bool pays(const debt& each, const invalidation_request& request) noexcept {
    const bool any = request.level < 0;
    switch (each.kind) {
      case debt_kind::unlinked: return !request.leaf_only && (any || request.level <= each.level);
      case debt_kind::linked:
      case debt_kind::installed: return any || !request.leaf_only || request.level >= each.level;
      default: return any || request.level == each.level;
    }
  }
  void pay_one(std::size_t i, const invalidation_request& request) {
    const debt each = debts_[i];
    const std::uint64_t first = std::max(each.first, request.first.value);
    const std::uint64_t last = std::min(each.last, request.last.value);
    if (each.added || first > last || !pays(each, request)) return;
    // A table that was linked is seen as soon as anything under it is.
    if (each.kind != debt_kind::linked) {
      if (first > each.first) push_rest(each, each.first, first - 1);
      if (last < each.last) push_rest(each, last + 1, each.last);
      debts_[i].first = first;
      debts_[i].last = last;
    }
    debts_[i].added = true;
  }
  void push_rest(debt rest, std::uint64_t first, std::uint64_t last) {
    rest.first = first;
    rest.last = last;
    debts_.push_back(rest);
  }

  std::vector<debt> debts_;
};

}  // namespace quire::check
