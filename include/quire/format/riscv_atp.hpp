// SPDX-License-Identifier: MIT
// The registers that point at RISC-V tables: hgatp for a G-stage, satp (and vsatp) for stage 1.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Supervisor Address Translation and Protection (satp)
// Register", "Hypervisor Guest Address Translation and Protection (hgatp) Register".
//
//   hgatp  63..60 MODE | 59 58 0 | 57..44 VMID | 43..0 PPN      32 bits: 31 MODE | 30 29 0 | 28..22 VMID | 21..0 PPN
//   satp   63..60 MODE |           59..44 ASID | 43..0 PPN      32 bits: 31 MODE |           30..22 ASID | 21..0 PPN
//
// What a hart has is asked by writing and reading back. A MODE that it lacks: "the entire write has no effect" (satp),
// or another one reads back (hgatp). The lowest bits of VMID and ASID are implemented first, and there may be none.
//
//   const auto ask = [](auto value) { return swap_csr_hgatp(value); };        // writes, reads, gives what was read
//   const unsigned has = riscv::formats_of_hart<riscv::sv57x4, riscv::sv48x4, riscv::sv39x4>(ask);
//   if ((has & 1U) != 0) ...                                                  // Sv57x4
//
// Caller must: write 0 and fence every address after asking hgatp. satp acts at once: ask it where it is not active (M
// mode), or by vsatp, or have the root that `ask` adds to the value map the code that runs.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/format/riscv_gstage.hpp>  // gstage
#include <quire/format/riscv_stage1.hpp>  // stage1

namespace quire::riscv {

namespace detail {
template <int Levels, extensions Extensions>
void is_gstage(const gstage<Levels, Extensions>*);
template <int Levels, extensions Extensions>
void is_stage1(const stage1<Levels, Extensions>*);
}  // namespace detail

// A format of that stage, or what is derived from one.
template <class F>
concept gstage_format = pte_format<F> && requires(const F* format) { detail::is_gstage(format); };
template <class F>
concept stage1_format = pte_format<F> && requires(const F* format) { detail::is_stage1(format); };

// Where the fields of a format's register are. The register is as wide as an entry.
struct atp_fields {
  unsigned mode;         // the value of MODE
  int mode_bit;          // its lowest bit
  int identifier_bit;    // of VMID or ASID; what lies below is PPN
  int identifier_width;  // VMIDMAX or ASIDMAX
};
template <class F>
  requires gstage_format<F> || stage1_format<F>
inline constexpr atp_fields atp_fields_of = []() constexpr {
  constexpr bool narrow = sizeof(typename F::word) == 4;
  constexpr int width = gstage_format<F> ? (narrow ? 7 : 14) : (narrow ? 9 : 16);
  constexpr unsigned mode = narrow ? 1 : F::shape.levels + 5;  // 8 Sv39, 9 Sv48, 10 Sv57
  return narrow ? atp_fields{mode, 31, 22, width} : atp_fields{mode, 60, 44, width};
}();

namespace detail {
template <class F>
[[nodiscard]] constexpr result<typename F::word> atp_of(table_address root, unsigned identifier, int width) noexcept {
  using word = typename F::word;
  constexpr atp_fields fields = atp_fields_of<F>;
  if ((root.value & (root_table_bytes<F> - 1)) != 0) return error{errc::unaligned, -1, root.value};
  if (root.value >> (fields.identifier_bit + 12) != 0) return error{errc::beyond_output, -1, root.value};
  if (width > fields.identifier_width) width = fields.identifier_width;
  if (width < 32 && identifier >> width != 0) return error{errc::beyond_identifier, -1, identifier};
  return static_cast<word>((word{fields.mode} << fields.mode_bit) | (word{identifier} << fields.identifier_bit) |
                           static_cast<word>(root.value >> 12));
}
}  // namespace detail

// The value of hgatp that has a guest walk the table at `root`. `vmid_bits`: as many as the hart has. Errors: unaligned
// (the root, to its own size of 16 KiB), beyond_output (the root), beyond_identifier (the VMID).
template <gstage_format F>
[[nodiscard]] constexpr result<typename F::word> hgatp(table_address root, unsigned vmid,
                                                       int vmid_bits = atp_fields_of<F>.identifier_width) noexcept {
  return detail::atp_of<F>(root, vmid, vmid_bits);
}
// The same of satp and vsatp; the root is aligned to 4 KiB.
template <stage1_format F>
[[nodiscard]] constexpr result<typename F::word> satp(table_address root, unsigned asid,
                                                      int asid_bits = atp_fields_of<F>.identifier_width) noexcept {
  return detail::atp_of<F>(root, asid, asid_bits);
}

// ---- asking a hart

// What to write to learn how many bits of VMID or ASID there are, with a MODE that the hart has; and how many there
// are, by what reads back.
template <class F>
inline constexpr typename F::word every_identifier_bit = []() constexpr {
  using word = typename F::word;
  constexpr atp_fields fields = atp_fields_of<F>;
  return static_cast<word>((word{fields.mode} << fields.mode_bit) |
                           (((word{1} << fields.identifier_width) - 1) << fields.identifier_bit));
}();
template <class F>
[[nodiscard]] constexpr int identifier_bits(typename F::word read_back) noexcept {
  constexpr atp_fields fields = atp_fields_of<F>;
  int bits = 0;
  while (bits < fields.identifier_width && ((read_back >> (fields.identifier_bit + bits)) & 1U) != 0) ++bits;
  return bits;
}

// Whether the register took the MODE of F, by what reads back after it was written.
template <class F>
[[nodiscard]] constexpr bool is_mode_of(typename F::word read_back) noexcept {
  return read_back >> atp_fields_of<F>.mode_bit == atp_fields_of<F>.mode;
}

// Which of these formats a hart has: bit k for the k-th. ask(value) writes the register and gives what then reads back;
// `value` is the MODE of a format, the rest 0.
template <class... Formats, class Ask>
[[nodiscard]] constexpr unsigned formats_of_hart(Ask&& ask) {
  static_assert(sizeof...(Formats) <= 32);
  unsigned found = 0, bit = 1;
  const auto try_one = [&]<class F>() {
    constexpr atp_fields fields = atp_fields_of<F>;
    using word = typename F::word;
    if (is_mode_of<F>(ask(static_cast<word>(word{fields.mode} << fields.mode_bit)))) found |= bit;
    bit <<= 1U;
  };
  (try_one.template operator()<Formats>(), ...);
  return found;
}

static_assert(*hgatp<sv39x4>(table_address{0x8000'4000}, 5) == 0x8000'5000'0008'0004);
static_assert(*hgatp<sv32x4>(table_address{0x8000'4000}, 5) == 0x8148'0004);
static_assert(*satp<sv39>(table_address{0x8000'1000}, 5) == 0x8000'5000'0008'0001);

}  // namespace quire::riscv
