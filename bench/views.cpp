// SPDX-License-Identifier: MIT
// What an iterator costs beside a callback: every mapping of a table of pages by for_each_mapping and by
// views::mappings, to the same end. A row is WAY/FORMAT/POLICY/CONTENT.
#include <quire/views/mappings.hpp>

#include "workload.hpp"

namespace quire_bench {

// What is made of each mapping: something of everything that it says, or only of where it leads.
struct whole {
  std::uint64_t sum = 0;
  std::uint64_t writable_bytes = 0;
  std::uint64_t accessed = 0;
  QUIRE_INLINE void add(const mapping& found) noexcept {
    sum += found.input.value ^ found.output.value;
    if (found.attrs.allowed.contains(writable)) writable_bytes += found.bytes;
    accessed += found.attrs.accessed ? 1U : 0U;
  }
  friend bool operator==(const whole&, const whole&) = default;
};
struct output {
  std::uint64_t sum = 0;
  QUIRE_INLINE void add(const mapping& found) noexcept { sum += found.input.value ^ found.output.value; }
  friend bool operator==(const output&, const output&) = default;
};

template <class Content, class Session>
[[gnu::noinline]] Content measured_callback(Session& session, input_range range) {
  Content made;
  static_cast<void>(session.for_each_mapping(range, [&](const mapping& found) { made.add(found); }));
  return made;
}
template <class Content, class Session>
[[gnu::noinline]] Content measured_view(Session& session, input_range range) {
  Content made;
  for (const mapping& found : session | views::mappings(range)) made.add(found);
  return made;
}

template <class Rig, class Content, bool View>
void read_all(stopwatch& meter) {
  Rig rig{paged};
  rig.fill(0);
  auto session = rig.session();
  Content expected;
  std::uint64_t mappings = 0;
  for (input_address at = Rig::guest; at < Rig::guest + paged; ++mappings) {
    const auto found = session.lookup(at);
    must(found && found->output == Rig::behind(found->input), "a mapping");
    expected.add(*found);
    at = at + found->bytes;
  }
  meter.start(mappings);
  const auto made =
      View ? measured_view<Content>(session, rig.range()) : measured_callback<Content>(session, rig.range());
  meter.stop();
  must(made == expected && made.sum != 0, "the mappings");
}

template <class Rig>
bool add_ways(const char* format, const char* policy) {
  const auto add = [&](const char* way, const char* content, void (*run)(stopwatch&)) {
    all_rows().push_back({way, format, policy, content, run});
  };
  add("callback", "whole", [](stopwatch& meter) { read_all<Rig, whole, false>(meter); });
  add("view", "whole", [](stopwatch& meter) { read_all<Rig, whole, true>(meter); });
  add("callback", "output", [](stopwatch& meter) { read_all<Rig, output, false>(meter); });
  add("view", "output", [](stopwatch& meter) { read_all<Rig, output, true>(meter); });
  return true;
}

template <pte_format Format>
bool add_policies(const char* format) {
  return add_ways<rig<Format, identity_memory>>(format, "shared") &&
         add_ways<rig<Format, identity_memory, lockless>>(format, "concurrent");
}

}  // namespace quire_bench

namespace {
using namespace quire;
[[maybe_unused]] const bool added =
    quire_bench::add_policies<riscv::sv39x4>("riscv-sv39x4") &&
    quire_bench::add_policies<arm64::stage2_4k<48>>("arm64-4k-48") &&
    quire_bench::add_policies<intel::ept<4>>("intel-ept-4") &&
    quire_bench::add_policies<arm64::stage2_4k<40, arm64::stage2_options{.contiguous = true}>>(
        "arm64-4k-40-contiguous");
}  // namespace
