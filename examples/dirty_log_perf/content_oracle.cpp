// SPDX-License-Identifier: MIT
#include "content_oracle.hpp"

#include "guest_memory.hpp"  // word_at

namespace perf {

std::uint64_t content_oracle::content(std::uint64_t page) const noexcept {
  return word_at(host_ + (page << 12)).load(std::memory_order_relaxed);
}

void content_oracle::copy_all() {
  for (std::uint64_t page = 0; page < copy_.size(); ++page) copy_[page] = content(page);
  owed_.assign(owed_.size(), false);
}

void content_oracle::report(std::uint64_t first, std::uint64_t pages, const std::uint64_t* words) {
  for (std::uint64_t i = 0; i < pages && first + i < copy_.size(); ++i) {
    if (((words[i / 64] >> (i % 64)) & 1U) == 0) continue;
    reported_[first + i] = true;
    copy_[first + i] = content(first + i);
  }
}

void content_oracle::end_round(bool settled) {
  for (std::uint64_t page = 0; page < copy_.size(); ++page) {
    const bool differs = !reported_[page] && content(page) != copy_[page];
    if ((differs && settled) || (owed_[page] && !reported_[page])) {
      ++lost_;
      copy_[page] = content(page);
      owed_[page] = false;
    } else owed_[page] = differs;
  }
  reported_.assign(reported_.size(), false);
}

}  // namespace perf
