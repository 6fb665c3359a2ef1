// SPDX-License-Identifier: MIT
// Does the log tell the truth? Whoever copies the pages that the log reports must end up with the guest's memory.
#pragma once

#include <cstdint>  // uint64_t
#include <vector>   // vector

namespace perf {

// Every store writes a value that was never written before; the oracle keeps a copy of each page from the last time
// that page was reported. A page that differs from its copy and is not reported was written behind the log's back.
class content_oracle {
 public:
  // `pages` 4 KiB pages from the host address `host` on; page numbers count from there.
  content_oracle(std::uint64_t host, std::uint64_t pages) : host_(host), copy_(pages), reported_(pages), owed_(pages) {}

  // The full copy at the start of logging. Caller must: have enabled the log, protection included.
  void copy_all();
  // The log's answer for `pages` pages from `first` on; bit b of words[0] is `first`. Pages beyond ours are ignored.
  // Caller must: have cleared the log of these pages, protection included.
  void report(std::uint64_t first, std::uint64_t pages, const std::uint64_t* words);
  // The log was harvested once. `settled`: nobody stored since before it began, so what differs now is lost; otherwise
  // the next round may report it.
  void end_round(bool settled);

  [[nodiscard]] std::uint64_t lost_writes() const noexcept { return lost_; }

 private:
  [[nodiscard]] std::uint64_t content(std::uint64_t page) const noexcept;

  std::uint64_t host_;
  std::vector<std::uint64_t> copy_;
  std::vector<bool> reported_;
  std::vector<bool> owed_;  // differed after the last round
  std::uint64_t lost_ = 0;
};

}  // namespace perf
