// SPDX-License-Identifier: MIT
// Workloads of one page at a time: the write-fault fast path, what else one fault may do, lookups.
#pragma once

#include <algorithm>  // all_of

#include <quire/dirty/fault.hpp>  // fault_handler

#include "../workload.hpp"

namespace quire_bench {

// Where the fast path marks pages: in a bitmap that all vCPUs share, or in a ring of the vCPU's own, to be drained by
// others, which takes no atomic operation.
class shared_marks {
 public:
  explicit shared_marks(std::uint64_t pages) : words_(bitmap_words(pages)), bits_{words_.data(), pages} {}
  QUIRE_INLINE void mark(std::uint64_t number) noexcept { bits_.mark(number); }
  [[nodiscard]] bool has_all(const std::vector<std::uint64_t>&) const {
    return std::all_of(words_.begin(), words_.end(), [](std::uint64_t word) { return word == ~std::uint64_t{0}; });
  }

 private:
  std::vector<std::uint64_t> words_;
  dirty_bitmap bits_;
};
class own_marks {
 public:
  explicit own_marks(std::uint64_t pages) : ring_(pages), entries_(ring_.data()) {}
  QUIRE_INLINE void mark(std::uint64_t number) noexcept {
    entries_[next_] = number;
    // Release: whoever drains the ring sees the entry that it counts.
    atomic::store(&next_, next_ + 1, order::release);
  }
  [[nodiscard]] bool has_all(const std::vector<std::uint64_t>& marked) const { return ring_ == marked; }

 private:
  std::vector<std::uint64_t> ring_;
  std::uint64_t* entries_;
  std::uint64_t next_ = 0;
};

// A write fault on the read side, as the fault handler takes it.
template <class Rig, class Marks>
[[gnu::noinline]] write_grant measured_fast_path(Rig& rig, const invalidation_sequence& sequence, Marks& marks,
                                                 input_address at) {
  const std::uint64_t snapshot = sequence.sample();
  auto session = rig.tables.one_page_session(rig.sync.guard);
  if (sequence.must_retry(snapshot, at)) return write_grant::not_mapped;
  return session.make_writable(at, [&] { marks.mark((at - Rig::guest) / page); });
}
template <class Rig, class Marks = shared_marks>
void fast_path(stopwatch& meter, const std::vector<std::uint64_t>& order) {
  Rig rig{paged};
  rig.fill(0, {.allowed = readable, .may_write = true});
  Marks marks{paged / page};
  const invalidation_sequence sequence;
  std::size_t granted = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order)
    granted += measured_fast_path(rig, sequence, marks, Rig::guest + number * page) == write_grant::granted;
  meter.stop();
  must(granted == order.size() && rig.tables.policies().invalidation.locals == order.size(), "fast path");
  must(marks.has_all(order), "a page was not marked");
  rig.expect(0, read_write);
}
// The other things that are done to one page beside others.
template <class Rig>
[[gnu::noinline]] result<bool> measured_age_page(Rig& rig, input_address at) {
  return rig.tables.one_page_session(rig.sync.guard).test_and_clear_accessed(at);
}
template <class Rig>
void age_page(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  const auto order = shuffled(paged / page);
  std::size_t aged = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order)
    aged += measured_age_page(rig, Rig::guest + number * page).value_or(false) ? 1U : 0U;
  meter.stop();
  must(aged == order.size(), "age");
  rig.expect(0, read_write, false);
}
template <class Rig>
[[gnu::noinline]] result<void> measured_relax_page(Rig& rig, input_address at) {
  return rig.tables.one_page_session(rig.sync.guard).relax(at, rights_asked_for);
}
template <class Rig>
void relax_page(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0, {.allowed = readable, .may_write = true});
  const auto order = shuffled(paged / page);
  std::size_t relaxed = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order)
    relaxed += measured_relax_page(rig, Rig::guest + number * page).has_value() ? 1U : 0U;
  meter.stop();
  must(relaxed == order.size(), "relax");
  rig.expect(0, read_execute);
}
// The same through fault_handler::handle.
template <class Handler, class Log, class Cache>
[[gnu::noinline]] result<fault_report> measured_fault(Handler& handler, const guest_fault& fault, Log* log,
                                                      Cache& cache) {
  return handler.handle(fault, log, cache);
}
template <class Rig>
void fault_fast(stopwatch& meter) {
  using table_type = typename Rig::table_type;
  using log_type = dirty_log<table_type, typename Rig::guard_type, dirty_bitmap>;
  struct backing {
    result<host_page> resolve(const memory_slot&, input_address at, bool) noexcept {
      return host_page{Rig::behind(at), true, 0};
    }
    int mapped_level(const memory_slot&, input_address) noexcept { return 0; }
  };
  Rig rig{paged};
  rig.fill(0);
  std::vector<std::uint64_t> log_words(bitmap_words(paged / page));
  const eager_split_control control;
  log_type log{rig.tables, rig.sync.guard, memory_slot{.first = Rig::guest, .pages = paged / page},
               dirty_bitmap{log_words.data(), paged / page}, control};
  must(log.enable({}, rig.cache).has_value(), "enable");
  backing host;
  invalidation_sequence sequence;
  fault_handler<table_type, typename Rig::guard_type, backing, dirty_bitmap> handler{rig.tables, rig.sync.guard,
                                                                                     sequence, host, fault_path::fast};
  const auto order = shuffled(paged / page);
  std::size_t fixed = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order) {
    const auto done =
        measured_fault(handler, {.address = Rig::guest + number * page, .access = writable}, &log, rig.cache);
    fixed += done && done->outcome == fault_outcome::fixed_fast;
  }
  meter.stop();
  must(fixed == order.size(), "fault");
  rig.expect(0, read_write);
}

// Where a page leads; and the same with everything its leaf says decoded.
template <class Session>
[[gnu::noinline]] result<output_address> measured_translate(Session& session, input_address at) {
  return session.translate(at);
}
template <class Session>
[[gnu::noinline]] result<mapping> measured_lookup(Session& session, input_address at) {
  return session.lookup(at);
}
template <class Rig>
void lookup(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  const auto order = shuffled(paged / page);
  auto session = rig.session();
  std::uint64_t wrong = 0;
  meter.start(order.size());
  for (const std::uint64_t number : order) {
    const input_address at = Rig::guest + number * page;
    wrong |= measured_translate(session, at).value_or(output_address{}).value ^ Rig::behind(at).value;
  }
  meter.stop();
  must(wrong == 0, "lookup");
}
// Many in one call, with the translation compiled into the loop; what it gives is the sum of what was found.
template <class Rig>
[[gnu::noinline]] std::uint64_t measured_lookups(Rig& rig, const std::vector<input_address>& addresses) {
  auto session = rig.session();
  std::uint64_t sum = 0;
  for (const input_address at : addresses) sum += session.translate(at).value_or(output_address{}).value;
  return sum;
}
template <class Rig>
void lookup_inlined(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  std::vector<input_address> addresses;
  std::uint64_t wanted = 0;
  for (const std::uint64_t number : shuffled(paged / page)) {
    addresses.push_back(Rig::guest + number * page);
    wanted += Rig::behind(addresses.back()).value;
  }
  meter.start(addresses.size());
  const std::uint64_t sum = measured_lookups(rig, addresses);
  meter.stop();
  must(sum == wanted, "lookup");
}
template <class Rig>
void lookup_decoded(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  const auto order = shuffled(paged / page);
  auto session = rig.session();
  bool right = true;
  meter.start(order.size());
  for (const std::uint64_t number : order) {
    const input_address at = Rig::guest + number * page;
    const auto found = measured_lookup(session, at);
    right = right && found && found->input == at && found->output == Rig::behind(at) &&
            found->attrs.allowed == read_write && found->level == 0;
  }
  meter.stop();
  must(right, "lookup_decoded");
}

}  // namespace quire_bench
