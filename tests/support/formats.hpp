// SPDX-License-Identifier: MIT
// Every PTE format that the tests know. A new one needs its header, its test and one line here; CMake reads the names
// and compiles the suite of tests/table once for each.
#pragma once

#include <cstddef>      // size_t
#include <string_view>  // string_view
#include <tuple>        // tuple, tuple_cat
#include <type_traits>  // conditional_t

#include <quire/format/amd_iommu.hpp>         // amd::iommu
#include <quire/format/amd_npt.hpp>           // amd::npt
#include <quire/format/arm64_stage1.hpp>      // arm64::stage1
#include <quire/format/arm64_stage2.hpp>      // arm64::stage2
#include <quire/format/intel_ept.hpp>         // intel::ept
#include <quire/format/riscv_gstage.hpp>      // riscv::gstage
#include <quire/format/riscv_stage1.hpp>      // riscv::stage1
#include <quire/format/tiny.hpp>              // tiny::format
#include <quire/format/vtd_second_stage.hpp>  // vtd::second_stage
#include <quire/format/x86_64.hpp>            // x86::long_mode

#include "format/exercise.hpp"

namespace quire_test {

// A name that can stand in a template argument list.
template <std::size_t Size>
struct format_name {
  char text[Size]{};

  consteval format_name(const char (&literal)[Size]) noexcept {
    for (std::size_t i = 0; i < Size; ++i) text[i] = literal[i];
  }
};

template <class Format, format_name Name>
struct named {};

template <class... Named>
struct named_list : Named... {};

// ---- the list

using real_format_names = named_list<
    named<quire::riscv::sv39x4, "riscv-sv39x4">,  //
    named<quire::riscv::sv48x4, "riscv-sv48x4">,
    named<quire::riscv::gstage<3, quire::riscv::extensions{.svadu = true}>, "riscv-sv39x4-hardware-ad">,
    named<quire::riscv::gstage<3, quire::riscv::extensions{.svnapot = true}>, "riscv-sv39x4-svnapot">,
    named<quire::riscv::gstage<4, quire::riscv::extensions{.svvptc = true}>, "riscv-sv48x4-svvptc">,
    named<quire::riscv::sv57x4, "riscv-sv57x4">,  //
    named<quire::riscv::sv32x4, "riscv-sv32x4">,  // 32-bit entries
    named<quire::riscv::sv32, "riscv-sv32">,      //
    named<quire::riscv::sv39, "riscv-sv39">,      //
    named<quire::riscv::sv48, "riscv-sv48">,      //
    named<quire::riscv::sv57, "riscv-sv57">,      //
    named<quire::riscv::stage1<3, quire::riscv::extensions{.svadu = true, .svnapot = true, .svrsw60t59b = true}>,
          "riscv-sv39-svnapot-svadu">,
    named<exercise, "exercise">,                        // made for nothing in the library
    named<quire::arm64::stage2_4k<32>, "arm64-4k-32">,  // two levels
    named<quire::arm64::stage2_4k<40>, "arm64-4k-40">,  //
    named<quire::arm64::stage2_4k<43>, "arm64-4k-43">,  //
    named<quire::arm64::stage2_4k<48>, "arm64-4k-48">,
    named<quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.forced_write_back = true}>, "arm64-4k-40-fwb">,
    named<quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.hardware_accessed = false}>, "arm64-4k-40-soft-af">,
    named<quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.hardware_dirty = true}>, "arm64-4k-40-dbm">,
    named<quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.contiguous = true}>, "arm64-4k-40-contiguous">,
    named<quire::arm64::stage2_4k<48, quire::arm64::stage2_options{.hardware_dirty = true, .contiguous = true}>,
          "arm64-4k-48-dbm-contiguous">,
    // Each of what the types of arm64 can be is in one of these: granule, start shape, address size, options.
    named<quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.contiguous = true, .contiguous_gigabytes = true}>,
          "arm64-4k-40-contiguous-1g">,
    named<quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.forced_write_back = true,
                                                                   .execute_by_privilege = true}>,
          "arm64-4k-40-fwb-xnx">,
    named<quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.levels = 4}>, "arm64-4k-40-4-levels">,
    named<quire::arm64::stage2_4k<52, quire::arm64::stage2_options{.output_bits = 52}>, "arm64-4k-52-lpa2">,
    named<quire::arm64::stage2_4k<52, quire::arm64::stage2_options{.output_bits = 52, .levels = 5}>,
          "arm64-4k-52-lpa2-5-levels">,
    named<quire::arm64::stage2_16k<32>, "arm64-16k-32">,  //
    named<quire::arm64::stage2_16k<40>, "arm64-16k-40">,
    named<quire::arm64::stage2_16k<47, quire::arm64::stage2_options{.hardware_dirty = true, .contiguous = true}>,
          "arm64-16k-47-dbm-contiguous">,
    named<quire::arm64::stage2_16k<48>, "arm64-16k-48">,  // two tables at the manual's level 1
    named<quire::arm64::stage2_16k<52, quire::arm64::stage2_options{.contiguous = true, .output_bits = 52}>,
          "arm64-16k-52-lpa2-contiguous">,
    named<quire::arm64::stage2_64k<32, quire::arm64::stage2_options{.contiguous = true}>, "arm64-64k-32-contiguous">,
    named<quire::arm64::stage2_64k<46>, "arm64-64k-46">,
    named<quire::arm64::stage2_64k<48, quire::arm64::stage2_options{.contiguous = true}>, "arm64-64k-48-contiguous">,
    named<quire::arm64::stage2_64k<52, quire::arm64::stage2_options{.execute_by_privilege = true, .output_bits = 52}>,
          "arm64-64k-52-lpa-xnx">,
    named<quire::arm64::stage1<quire::arm64::granule::k4, 48>, "arm64-stage1-4k-48">,
    named<quire::arm64::stage1<quire::arm64::granule::k4, 39,
                               quire::arm64::stage1_options{.input = quire::arm64::halves::both,
                                                            .executes = quire::privilege::supervisor,
                                                            .hardware_dirty = true,
                                                            .contiguous = true}>,
          "arm64-stage1-4k-39-halves-dbm-contiguous">,
    named<quire::arm64::stage1<quire::arm64::granule::k16, 47,
                               quire::arm64::stage1_options{.non_cacheable = 2, .device = 3, .contiguous = true}>,
          "arm64-stage1-16k-47-contiguous">,
    named<quire::arm64::stage1<quire::arm64::granule::k64, 52,
                               quire::arm64::stage1_options{.input = quire::arm64::halves::both, .output_bits = 52}>,
          "arm64-stage1-64k-52-halves">,
    named<quire::arm64::stage1<quire::arm64::granule::k4, 48, quire::arm64::el2_options>, "arm64-el2-4k-48">,
    named<quire::arm64::stage1<quire::arm64::granule::k4, 52,
                               quire::arm64::stage1_options{
                                   .translates = quire::arm64::regime::el2, .hardware_dirty = true, .output_bits = 52}>,
          "arm64-el2-4k-52-lpa2-dbm">,
    named<quire::x86::long_mode<4>, "x86-64-4">,  //
    named<quire::x86::long_mode<5>, "x86-64-5">,  //
    named<quire::amd::npt<4>, "amd-npt-4">,       //
    named<quire::intel::ept<4>, "intel-ept-4">,   //
    named<quire::intel::ept<5>, "intel-ept-5">,
    named<quire::intel::ept<4, quire::intel::ept_options{.accessed_dirty = false}>, "intel-ept-4-no-ad">,
    named<quire::intel::ept<4, quire::intel::ept_options{.mode_based_execute = true}>, "intel-ept-4-mbec">,
    named<quire::amd::iommu<3>, "amd-iommu-3">,   //
    named<quire::amd::iommu<4>, "amd-iommu-4">,   //
    named<quire::amd::iommu<6>, "amd-iommu-6">,   // all 64 bits of input
    named<quire::vtd::second_stage<3>, "vtd-3">,  //
    named<quire::vtd::second_stage<4>, "vtd-4">,  //
    named<quire::vtd::second_stage<5>, "vtd-5">>;

using tiny_format_names = named_list<named<quire::tiny::plain, "tiny-plain">,                    //
                                     named<quire::tiny::wide_root, "tiny-wide-root">,            //
                                     named<quire::tiny::narrow32, "tiny-narrow32">,              //
                                     named<quire::tiny::grouped, "tiny-grouped">,                //
                                     named<quire::tiny::napot, "tiny-napot">,                    //
                                     named<quire::tiny::inverted, "tiny-inverted">,              //
                                     named<quire::tiny::table_rights, "tiny-table-rights">,      //
                                     named<quire::tiny::signed_input, "tiny-signed-input">,      //
                                     named<quire::tiny::hardware_ad, "tiny-hardware-ad">,        //
                                     named<quire::tiny::dbm, "tiny-dbm">,                        //
                                     named<quire::tiny::bbm, "tiny-bbm">,                        //
                                     named<quire::tiny::deep, "tiny-deep">,                      //
                                     named<quire::tiny::pages_only, "tiny-pages-only">,          //
                                     named<quire::tiny::cached_invalid, "tiny-cached-invalid">,  //
                                     named<quire::tiny::inverted_dbm, "tiny-inverted-dbm">,      //
                                     named<quire::tiny::napot_ad, "tiny-napot-ad">,              //
                                     named<quire::tiny::napot_sizes, "tiny-napot-sizes">>;

// ---- what is made of it

namespace detail {

template <class List>
struct formats_in;
template <class... Formats, format_name... Names>
struct formats_in<named_list<named<Formats, Names>...>> {
  using type = std::tuple<Formats...>;
};

struct every_name : real_format_names, tiny_format_names {};

template <class Format, format_name Name>
constexpr const char* find_name(const named<Format, Name>*) noexcept {
  return Name.text;
}
template <format_name Name, class Format>
Format find_format(const named<Format, Name>*) noexcept;

// Those of which the suite is compiled: QUIRE_TEST_FORMATS, a list of strings, where it is defined.
[[nodiscard]] consteval bool is_chosen([[maybe_unused]] std::string_view name) noexcept {
#ifdef QUIRE_TEST_FORMATS
  for (const std::string_view each : {QUIRE_TEST_FORMATS})
    if (name == each) return true;
  return false;
#else
  return true;
#endif
}

}  // namespace detail

using real_formats = detail::formats_in<real_format_names>::type;
using tiny_formats = detail::formats_in<tiny_format_names>::type;
using all_formats = decltype(std::tuple_cat(real_formats{}, tiny_formats{}));
template <format_name Name>
using format_named = decltype(detail::find_format<Name>(static_cast<const detail::every_name*>(nullptr)));

template <class Format>
inline constexpr const char* name_of_format =
    detail::find_name<Format>(static_cast<const detail::every_name*>(nullptr));

namespace detail {
template <class List>
struct chosen_among;
template <class... Formats>
struct chosen_among<std::tuple<Formats...>> {
  using type = decltype(std::tuple_cat(
      std::conditional_t<is_chosen(name_of_format<Formats>), std::tuple<Formats>, std::tuple<>>{}...));
};
}  // namespace detail

template <class Formats>
using chosen_of = typename detail::chosen_among<Formats>::type;
using chosen_formats = chosen_of<all_formats>;

// Whom an ordinary leaf of a format is for: everybody, where that can be said.
template <class Format>
inline constexpr quire::privilege ordinary_privilege = []() constexpr {
  for (const auto from : {quire::privilege::any, quire::privilege::user, quire::privilege::supervisor})
    if (Format::leaf(quire::output_address{0}, {.allowed = quire::read_write, .from = from}, 0)) return from;
  return quire::privilege::any;
}();

// Calls use<Format>(name) for each format of a list; `use` is a lambda with one template parameter.
template <class Formats, class Use>
void for_each_format(Use&& use) {
  [&]<class... F>(const std::tuple<F...>*) {
    (use.template operator()<F>(name_of_format<F>), ...);
  }(static_cast<const Formats*>(nullptr));
}

}  // namespace quire_test
