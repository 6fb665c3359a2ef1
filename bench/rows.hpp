// SPDX-License-Identifier: MIT
// The rows of a benchmark: what there is to run, and what it calls around what is measured.
#pragma once

#include <cstdint>  // uint64_t
#include <string>   // string
#include <vector>   // vector

namespace quire_bench {

class stopwatch {
 public:
  virtual void start(std::uint64_t units_of_work) = 0;
  virtual void stop() = 0;

 protected:
  ~stopwatch() = default;
};

// `policy`: shared (one lock) or concurrent (read sections). `path`: run (entries are owned many at a time) or word.
struct row {
  std::string workload, format, policy, path;
  void (*run)(stopwatch&);

  [[nodiscard]] std::string name() const { return workload + "/" + format + "/" + policy + "/" + path; }
};

// Those of every rows.cpp.in that was linked in.
[[nodiscard]] inline std::vector<row>& all_rows() {
  static std::vector<row> rows;
  return rows;
}

}  // namespace quire_bench
