// SPDX-License-Identifier: MIT
// Policies and parts that announce what they do to a trace, and then do what the one they wrap does: with them the
// shipped code runs under the explorer as it is.
//
//   explored_memory         every access to an entry
//   explored_rw_lock        a lock; whoever cannot have it does not run
//   explored_sink           every mark and every harvest, by words of the log
//   explored_tables         the table source, as one thing
//   explored_invalidation   the translation caches of all CPUs, or of the calling one
//   explored_reclaim        the list of retired tables, as one thing
//   explored_words          counters and flags: epochs, sequences, whether a log is on, whether a table is open
//
// Fences do nothing here, for the memory is sequentially consistent (trace.hpp).
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <limits>   // numeric_limits
#include <vector>   // vector

#include <quire/check/trace.hpp>          // trace
#include <quire/dirty/sink.hpp>           // harvestable_sink
#include <quire/policy/invalidation.hpp>  // invalidation_policy
#include <quire/policy/locking.hpp>       // shared_lockable
#include <quire/policy/memory.hpp>        // memory_policy
#include <quire/policy/reclaim.hpp>       // reclaim_policy
#include <quire/policy/shared_words.hpp>  // shared_words_policy
#include <quire/policy/table_source.hpp>  // root_source

namespace quire::check {

// ---- what the library's actions are on
template <class Word>
[[nodiscard]] constexpr shared_object entry_object(table_address table, std::size_t index) noexcept {
  return {"entry", table.value + index * sizeof(Word)};
}
[[nodiscard]] constexpr shared_object log_object(std::uint64_t word) noexcept { return {"log word", word}; }
// The translation caches of one CPU, or of all.
[[nodiscard]] constexpr shared_object caches_of(unsigned cpu) noexcept { return {"caches of CPU", cpu}; }
[[nodiscard]] constexpr shared_object every_cache() noexcept {
  return {"caches of CPU", 0, std::numeric_limits<unsigned>::max()};
}
// What the guest keeps in a page.
[[nodiscard]] constexpr shared_object page_object(std::uint64_t page) noexcept { return {"page", page}; }

// Counts writes: whoever waits for something to change looks again after somebody else's next one (trace::wait_until).
class write_clock {
 public:
  void tick(unsigned thread) noexcept {
    ++all_;
    if (thread < most_threads) ++own_[thread];
  }
  [[nodiscard]] std::uint64_t by_others(unsigned thread) const noexcept {
    return all_ - (thread < most_threads ? own_[thread] : 0);
  }

 private:
  std::uint64_t all_ = 0;
  std::uint64_t own_[most_threads]{};
};
[[nodiscard]] constexpr shared_object every_entry() noexcept {
  return {"entry", 0, std::numeric_limits<std::uint64_t>::max()};
}

// A compare-exchange that will fail is a write, too: whether it does is known only when it happens. No run capability:
// plain words cannot be seen one by one. Wrap an observed_memory with this, not the other way round: then the observer
// is told at the moment of the access.
template <class Base>
class explored_memory {
 public:
  explored_memory(Base base, trace& run, write_clock* clock = nullptr) noexcept
      : base_(base), run_(&run), clock_(clock) {}

  template <class Word>
  [[nodiscard]] Word load(table_address t, std::size_t i, order o) const noexcept {
    run_->read(entry_object<Word>(t, i));
    return base_.template load<Word>(t, i, o);
  }
  template <class Word>
  void store(table_address t, std::size_t i, Word w, order o) const noexcept {
    run_->write(entry_object<Word>(t, i));
    base_.template store<Word>(t, i, w, o);
    written();
  }
  template <class Word>
  Word exchange(table_address t, std::size_t i, Word w, order o) const noexcept {
    run_->write(entry_object<Word>(t, i));
    written();
    return base_.template exchange<Word>(t, i, w, o);
  }
  template <class Word>
  [[nodiscard]] bool compare_exchange(table_address t, std::size_t i, Word& e, Word w, order o) const noexcept {
    run_->write(entry_object<Word>(t, i));
    const bool done = base_.template compare_exchange<Word>(t, i, e, w, o);
    if (done) written();
    return done;
  }
  template <class Word>
  Word fetch_and(table_address t, std::size_t i, Word w, order o) const noexcept {
    run_->write(entry_object<Word>(t, i));
    written();
    return base_.template fetch_and<Word>(t, i, w, o);
  }
  template <class Word>
  Word fetch_or(table_address t, std::size_t i, Word w, order o) const noexcept {
    run_->write(entry_object<Word>(t, i));
    written();
    return base_.template fetch_or<Word>(t, i, w, o);
  }

 private:
  void written() const noexcept {
    if (clock_ != nullptr) clock_->tick(run_->current());
  }
  Base base_;
  trace* run_;
  write_clock* clock_;
};

// Neither side is preferred. Caller must: unlock what it holds; anything else is a finding.
class explored_rw_lock {
 public:
  explicit explored_rw_lock(trace& run, std::uint64_t number = 0) noexcept : run_(&run), object_{"lock", number} {}
  explored_rw_lock(const explored_rw_lock&) = delete;
  explored_rw_lock& operator=(const explored_rw_lock&) = delete;

  void lock() noexcept {
    run_->block({{action_kind::lock, object_}}, [this] { return !writer_ && readers_ == 0; });
    writer_ = true;
  }
  void unlock() noexcept {
    run_->announce({{action_kind::unlock, object_}});
    if (!writer_) run_->fail("unlocked by somebody who does not hold the lock");
    writer_ = false;
  }
  void lock_shared() noexcept {
    run_->block({{action_kind::lock_shared, object_}}, [this] { return !writer_; });
    ++readers_;
  }
  void unlock_shared() noexcept {
    run_->announce({{action_kind::unlock_shared, object_}});
    if (readers_ == 0) run_->fail("unlocked by a reader that does not hold the lock");
    else --readers_;
  }
  // In a thread's own step, not an action: whoever calls it holds the lock, or it is a finding.
  void assert_held() const noexcept {
    if (!writer_) run_->fail("the write side is not held");
  }

 private:
  trace* run_;
  shared_object object_;
  bool writer_ = false;
  unsigned readers_ = 0;
};

// take() is one action, as it is for everybody who holds the write side.
template <dirty_sink Sink>
class explored_sink {
 public:
  explored_sink(Sink sink, trace& run) noexcept : sink_(sink), run_(&run) {}

  void mark(std::uint64_t page) noexcept {
    run_->write(log_object(page / 64));
    sink_.mark(page);
  }
  [[nodiscard]] std::uint64_t peek(std::size_t word) const noexcept
    requires harvestable_sink<Sink>
  {
    run_->read(log_object(word));
    return sink_.peek(word);
  }
  [[nodiscard]] std::uint64_t take(std::size_t word, std::uint64_t bits) noexcept
    requires harvestable_sink<Sink>
  {
    run_->write(log_object(word));
    return sink_.take(word, bits);
  }
  void set_all() noexcept
    requires harvestable_sink<Sink>
  {
    run_->write(whole());
    sink_.set_all();
  }
  void clear_all() noexcept
    requires harvestable_sink<Sink>
  {
    run_->write(whole());
    sink_.clear_all();
  }
  [[nodiscard]] std::uint64_t pages() const noexcept
    requires harvestable_sink<Sink>
  {
    return sink_.pages();
  }

 private:
  [[nodiscard]] static constexpr shared_object whole() noexcept {
    return {"log word", 0, std::numeric_limits<std::uint64_t>::max()};
  }
  Sink sink_;
  trace* run_;
};

template <root_source Source>
class explored_tables {
 public:
  explored_tables(Source source, trace& run) noexcept : source_(source), run_(&run) {}

  [[nodiscard]] bool reserve(std::size_t n) noexcept { return here().reserve(n); }
  result<table_address> take(table_contents contents) noexcept { return here().take(contents); }
  void give_back(table_address table) noexcept { here().give_back(table); }
  result<table_address> take_root(std::uint64_t bytes) noexcept { return here().take_root(bytes); }
  void give_back_root(table_address table, std::uint64_t bytes) noexcept { here().give_back_root(table, bytes); }

 private:
  Source& here() noexcept {
    run_->write({"tables"});
    return source_;
  }
  Source source_;
  trace* run_;
};

// CPU n is the one that thread n runs on.
template <invalidation_policy Base>
class explored_invalidation {
 public:
  static constexpr bool reentrant = true;  // everything happens in one thread
  explored_invalidation(Base base, trace& run) noexcept : base_(base), run_(&run) {}

  void add(const invalidation_request& request) noexcept {
    run_->write({"invalidations"});
    base_.add(request);
  }
  void local(const invalidation_request& request) noexcept {
    run_->write(caches_of(run_->current()));
    base_.local(request);
  }
  void complete() noexcept {
    run_->announce({{action_kind::write, {"invalidations"}}, {action_kind::write, every_cache()}});
    base_.complete();
  }

 private:
  Base base_;
  trace* run_;
};

template <class Base>
class explored_reclaim {
 public:
  explored_reclaim(Base base, trace& run) noexcept : base_(base), run_(&run) {}

  template <table_source Source>
  void retire(Source& source, table_address table) noexcept {
    run_->write({"retired tables"});
    base_.retire(source, table);
  }

 private:
  Base base_;
  trace* run_;
};

// Words are numbered as they are met, within a group of words that a thread may wait for.
class explored_words {
 public:
  struct group {
    const char* name;
    write_clock clock{};
    std::vector<const void*> known{};

    [[nodiscard]] shared_object all() const noexcept { return {name, 0, std::numeric_limits<std::uint64_t>::max()}; }
  };
  explored_words(trace& run, group& of) noexcept : run_(&run), group_(&of) {}

  template <class T>
  [[nodiscard]] T load(const T& from, order) const noexcept {
    run_->read(object_of(&from));
    return from;
  }
  template <class T>
  void store(T& to, T value, order) const noexcept {
    run_->write(object_of(&to));
    to = value;
    group_->clock.tick(run_->current());
  }
  template <class T>
  T fetch_add(T& at, T amount, order) const noexcept {
    run_->write(object_of(&at));
    group_->clock.tick(run_->current());
    const T before = at;
    at = static_cast<T>(at + amount);
    return before;
  }
  template <class T>
  [[nodiscard]] bool compare_exchange(T& at, T& expected, T desired, order) const noexcept {
    run_->write(object_of(&at));
    if (at != expected) {
      expected = at;
      return false;
    }
    at = desired;
    group_->clock.tick(run_->current());
    return true;
  }
  void fence(order) const noexcept {}

 private:
  [[nodiscard]] shared_object object_of(const void* word) const {
    std::uint64_t number = 0;
    while (number < group_->known.size() && group_->known[number] != word) ++number;
    if (number == group_->known.size()) group_->known.push_back(word);
    return {group_->name, number};
  }
  trace* run_;
  group* group_;
};

static_assert(shared_words_policy<explored_words>);
static_assert(shared_lockable<explored_rw_lock> && harvestable_sink<explored_sink<dirty_bitmap>>);
static_assert(dirty_sink<explored_sink<no_sink>> && !harvestable_sink<explored_sink<no_sink>>);
static_assert(memory_policy<explored_memory<direct_memory>, std::uint64_t>);
static_assert(root_source<explored_tables<no_tables>>);
static_assert(invalidation_policy<explored_invalidation<no_invalidation>>);

}  // namespace quire::check
