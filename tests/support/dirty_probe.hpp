// SPDX-License-Identifier: MIT
// What the tests of dirty logging watch with: a trace of what happened in which order, a lock that counts, and a sink
// that tells. Nothing here throws, for the operations under test may not: what is wrong is noted and asserted later.
#pragma once

#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <functional>  // function
#include <string>      // string
#include <vector>      // vector

#include <quire/dirty/sink.hpp>              // dirty_bitmap
#include <quire/policy/observed_memory.hpp>  // access_kind

namespace quire_test {

enum class what : unsigned char {
  locked,
  unlocked,
  locked_shared,
  unlocked_shared,
  marked,      // value: page
  taken,       // value: word of the log
  protected_,  // a reachable leaf lost the write permission
  granted,     // a reachable leaf got it
  added,       // an invalidation
  completed,
  local,
  paused,
  topped_up,
  table_taken,  // for a split or a mapping
};

struct happening {
  what kind;
  std::uint64_t value;
};

struct probe {
  std::vector<happening> trace;
  std::vector<std::string> wrongs;
  std::function<void(quire::access_kind)> before_access;
  std::function<void()> on_grant;
  std::function<void(std::uint64_t)> on_mark;
  std::function<void()> on_pause;
  bool owed = false;  // an invalidation was added and not completed

  static constexpr std::size_t most_kept = std::size_t{1} << 20U;
  void note(what kind, std::uint64_t value = 0) {
    if (trace.size() < most_kept) trace.push_back({kind, value});
  }
  void wrong(const char* text) {
    if (wrongs.size() < 16) wrongs.emplace_back(text);
  }
  [[nodiscard]] std::size_t count(what kind) const {
    std::size_t n = 0;
    for (const happening& one : trace) n += one.kind == kind ? 1U : 0U;
    return n;
  }
  // Where it happened first, or the end of the trace.
  [[nodiscard]] std::size_t first(what kind, std::size_t from = 0) const {
    while (from < trace.size() && trace[from].kind != kind) ++from;
    return from;
  }
  [[nodiscard]] std::string text() const {
    std::string all;
    for (const std::string& one : wrongs) all += one + "\n";
    return all;
  }
};

// A readers-writer lock for one thread: it counts, knows who holds it, and asks its questions at every turn.
class probe_lock {
 public:
  explicit probe_lock(probe& to) : probe_(&to) {}

  unsigned writes = 0;
  unsigned reads = 0;
  unsigned asserted = 0;
  std::function<void()> before_lock;
  std::function<void()> before_lock_shared;
  std::function<void()> before_unlock;
  std::function<bool()> contended;

  void lock() {
    if (before_lock) before_lock();
    if (held()) probe_->wrong("the write side was taken by a holder");
    writer_ = true;
    ++writes;
    probe_->note(what::locked);
  }
  void unlock() {
    if (!writer_) probe_->wrong("the write side was released by somebody who does not hold it");
    if (probe_->owed) probe_->wrong("unlocked with an owed invalidation");
    if (before_unlock) before_unlock();
    writer_ = false;
    probe_->note(what::unlocked);
  }
  void lock_shared() {
    if (before_lock_shared) before_lock_shared();
    if (held()) probe_->wrong("the read side was taken by a holder");
    ++readers_;
    ++reads;
    probe_->note(what::locked_shared);
  }
  void unlock_shared() {
    if (readers_ == 0) probe_->wrong("the read side was released by somebody who does not hold it");
    --readers_;
    probe_->note(what::unlocked_shared);
  }
  [[nodiscard]] bool is_contended() const { return contended && contended(); }
  void assert_held() {
    ++asserted;
    if (!writer_) probe_->wrong("the write side is not held");
  }
  [[nodiscard]] bool held() const noexcept { return writer_ || readers_ != 0; }
  [[nodiscard]] bool held_for_writing() const noexcept { return writer_; }

 private:
  probe* probe_;
  bool writer_ = false;
  unsigned readers_ = 0;
};

// A bitmap that tells when it is marked and harvested.
class probe_sink {
 public:
  probe_sink(probe& to, quire::dirty_bitmap bitmap) : probe_(&to), bitmap_(bitmap) {}

  void mark(std::uint64_t page) {
    probe_->note(what::marked, page);
    if (probe_->on_mark) probe_->on_mark(page);
    bitmap_.mark(page);
  }
  [[nodiscard]] std::uint64_t peek(std::size_t word) const { return bitmap_.peek(word); }
  [[nodiscard]] std::uint64_t take(std::size_t word, std::uint64_t bits) {
    const std::uint64_t got = bitmap_.take(word, bits);
    if (got != 0) probe_->note(what::taken, word);
    return got;
  }
  void set_all() { bitmap_.set_all(); }
  void clear_all() { bitmap_.clear_all(); }
  [[nodiscard]] std::uint64_t pages() const { return bitmap_.pages(); }

 private:
  probe* probe_;
  quire::dirty_bitmap bitmap_;
};

static_assert(quire::harvestable_sink<probe_sink>);

}  // namespace quire_test
