// SPDX-License-Identifier: MIT
// libFuzzer target: whatever bytes are taken for tables, a foreign walk keeps its promises (support/foreign_check.hpp).
//
// An input is four bytes (format, budget in two bytes, last output) and then the dump, which begins with the root. Run
// with "--seeds DIRECTORY" it writes tables in good health for the fuzzer to begin with, and ends.
#include <cstddef>  // byte, size_t
#include <cstdint>  // uint8_t, uint64_t
#include <cstdio>   // fprintf, fopen
#include <cstdlib>  // abort, exit
#include <string>   // string
#include <tuple>    // tuple
#include <vector>   // vector

#include <quire/format/amd_iommu.hpp>         // amd::iommu
#include <quire/format/arm64_stage1.hpp>      // arm64::stage1
#include <quire/format/arm64_stage2.hpp>      // arm64::stage2_4k
#include <quire/format/intel_ept.hpp>         // intel::ept
#include <quire/format/riscv_gstage.hpp>      // riscv::foreign_gstage, riscv::sv39x4
#include <quire/format/riscv_stage1.hpp>      // riscv::sv39
#include <quire/format/tiny.hpp>              // tiny::plain
#include <quire/format/vtd_second_stage.hpp>  // vtd::second_stage
#include <quire/format/x86_64.hpp>            // x86::long_mode

#include "support/foreign_check.hpp"
#include "support/formats.hpp"

namespace {

using namespace quire;

// Half of them tiny: a small input holds a whole tree. And one of each family.
using formats = std::tuple<
    tiny::plain, tiny::wide_root, tiny::narrow32, tiny::grouped, tiny::napot, tiny::deep, tiny::inverted_dbm,
    tiny::napot_ad, tiny::pages_only, riscv::foreign_gstage<riscv::sv39x4>, riscv::sv39,
    arm64::stage2_4k<32, arm64::stage2_options{.hardware_dirty = true, .contiguous = true}>,
    arm64::stage1<arm64::granule::k4, 39, arm64::stage1_options{.input = arm64::halves::both, .contiguous = true}>,
    x86::long_mode<4>, intel::ept<4, intel::ept_options{.mode_based_execute = true}>, amd::iommu<3>,
    vtd::second_stage<3>>;

constexpr std::size_t header = 4;
constexpr std::uint64_t base = 0x10000;

template <class F>
void check(const std::uint8_t* data, std::size_t size) {
  const std::uint64_t budget = 16 + (data[1] | unsigned{data[2]} << 8U) % 6000U;
  const std::uint64_t last = data[3] == 0 ? ~std::uint64_t{0} : std::uint64_t{data[3]} << 14U;
  // A copy, so that the sanitizer sees a step over its end; the input's own first byte is not aligned either.
  const std::vector<std::byte> dump(reinterpret_cast<const std::byte*>(data) + header,
                                    reinterpret_cast<const std::byte*>(data) + size);
  const char* defect = quire_test::defect_of_foreign_walk<F>(dump, base, table_address{base},
                                                             {.budget = budget, .last_output = output_address{last}});
  if (defect == nullptr) return;
  std::fprintf(stderr, "format %d: %s\n", data[0], defect);
  std::abort();
}

// Calls use.operator()<F>() for the format of that number.
template <class Use, class... F>
void with_format(std::size_t number, Use use, std::tuple<F...>*) {
  std::size_t at = 0;
  static_cast<void>(((at++ == number ? (use.template operator()<F>(), true) : false) || ...));
}

// A chain of tables, each with the leaves that its level may hold beside the way down; groups where there are any.
template <class F>
std::vector<std::uint8_t> seed(std::uint8_t number) {
  using word = typename F::word;
  std::vector<word> words(
      static_cast<std::size_t>((root_table_bytes<F> + F::shape.root_level * table_unit_bytes<F>) / sizeof(word)));
  std::uint64_t table = base;
  for (int level = F::shape.root_level; level >= 0; --level) {
    word* const entries = words.data() + (table - base) / sizeof(word);
    const std::uint64_t below = table + (level == F::shape.root_level ? root_table_bytes<F> : table_unit_bytes<F>);
    for (int group = 0; group <= 8; ++group) {
      const std::size_t count = std::size_t{1} << group;
      if (const auto leaf = F::leaf(output_address{0},
                                    {.allowed = read_write, .from = quire_test::ordinary_privilege<F>}, level, group))
        for (std::size_t i = 0; i < count && 2 * count <= F::shape.entries(level); ++i)
          entries[count + i] = static_cast<word>(*leaf + i * F::step(level, group));
    }
    if (level > 0) entries[0] = F::table(table_address{below}, level);
    table = below;
  }
  std::vector<std::uint8_t> input{number, 0xff, 0x0f, 0};
  for (const word one : words)
    for (std::size_t byte = 0; byte < sizeof(word); ++byte) input.push_back(static_cast<std::uint8_t>(one >> 8 * byte));
  return input;
}

bool write_seeds(const std::string& directory) {
  for (std::size_t number = 0; number < std::tuple_size_v<formats>; ++number) {
    std::vector<std::uint8_t> input;
    with_format(
        number, [&]<class F>() { input = seed<F>(static_cast<std::uint8_t>(number)); }, static_cast<formats*>(nullptr));
    std::FILE* const file = std::fopen((directory + "/seed_" + std::to_string(number)).c_str(), "wb");
    if (file == nullptr) return false;
    const bool whole = std::fwrite(input.data(), 1, input.size(), file) == input.size();
    if (std::fclose(file) != 0 || !whole) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc == 3 && std::string{(*argv)[1]} == "--seeds") std::exit(write_seeds((*argv)[2]) ? 0 : 1);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < header) return 0;
  with_format(data[0], [&]<class F>() { check<F>(data, size); }, static_cast<formats*>(nullptr));
  return 0;
}
