// SPDX-License-Identifier: MIT
// Invalidation policies for tests that go through instructions: requests are encoded as on hardware, the operands are
// read back, and the software MMU and the oracles are told of what they name, no more.
//
//   check::policies<format, locking, update, false, check::encoded_tlbi<format, arm64::tlbi_options{.ranges = true}>>
//   check::policies<format, locking, update, false, check::encoded_hfence<format>>
//
// An arm64 cache may hold both stages as one: an invalidation counts once stage 2 was waited for (dsb), then the
// combined entries dropped (vmalle1is), then that waited for. A TLBI outside enter_vmid() is another guest's. On RISC-V
// an invalidation counts once every hart has executed it; hinval.gvma counts between sfence.w.inval and
// sfence.inval.ir.
//
// `on_the_way` sees every operand before it is read: a test of these tests spoils it there.
#pragma once

#include <cstddef>   // size_t
#include <cstdint>   // uint64_t
#include <optional>  // optional
#include <vector>    // vector

#include <quire/check/arm64_operands.hpp>  // decode_tlbi_ipa
#include <quire/check/machine.hpp>         // machine
#include <quire/check/riscv_operands.hpp>  // decode_hfence_gvma
#include <quire/format/arm64_tlbi.hpp>     // stage2_invalidation
#include <quire/format/riscv_hfence.hpp>   // gstage_invalidation

namespace quire::check {

using operand_filter = std::uint64_t (*)(std::uint64_t);
[[nodiscard]] constexpr std::uint64_t as_it_is(std::uint64_t operand) noexcept { return operand; }

// Calls each(request) for what an operand names: where it hints at no level, for the leaves of each level that
// translate its addresses, whole.
template <pte_format F, class Each>
void each_named(const invalidation_request& named, Each&& each) {
  if (named.level >= 0 || !named.leaf_only) return each(named);
  for (int level = 0; level < F::shape.levels; ++level) {
    const std::uint64_t inside = bytes_of<F>(level) - 1;
    each(invalidation_request{input_address{named.first.value & ~inside}, input_address{named.last.value | inside},
                              level, true, named.reason});
  }
}

// The caches of all CPUs, as arm64 instructions reach them.
template <pte_format F>
class tlbi_caches {
 public:
  operand_filter on_the_way = as_it_is;
  unsigned vmid;  // of enter_vmid()

  tlbi_caches(machine<F>& to, stage2_regime regime) noexcept : vmid(to.options().vmid), to_(&to), regime_(regime) {}

  // Why what follows is dropped.
  void because(invalidation_reason why) noexcept { why_ = why; }

  void enter_vmid() noexcept { inside_ = true; }
  void leave_vmid() noexcept { inside_ = false; }
  void isb() noexcept {}
  void dsb_ish() {
    if (everywhere_ == phase::combined) to_->complete();
    everywhere_ = phase::stage2;
  }
  void dsb_nsh() {
    if (here_ == phase::combined) {
      for (const invalidation_request& each : local_) to_->local(each);
      local_.clear();
    }
    here_ = phase::stage2;
  }
  void tlbi_ipas2e1is(std::uint64_t x) { broadcast(by_ipa(x, false)); }
  void tlbi_ipas2le1is(std::uint64_t x) { broadcast(by_ipa(x, true)); }
  void tlbi_ripas2e1is(std::uint64_t x) { broadcast(by_range(x, false)); }
  void tlbi_ripas2le1is(std::uint64_t x) { broadcast(by_range(x, true)); }
  void tlbi_ipas2e1(std::uint64_t x) { alone(by_ipa(x, false)); }
  void tlbi_ipas2le1(std::uint64_t x) { alone(by_ipa(x, true)); }
  void tlbi_ripas2e1(std::uint64_t x) { alone(by_range(x, false)); }
  void tlbi_ripas2le1(std::uint64_t x) { alone(by_range(x, true)); }
  void tlbi_vmalle1is() noexcept {
    if (inside_ && everywhere_ == phase::stage2) everywhere_ = phase::combined;
  }
  void tlbi_vmalle1() noexcept {
    if (inside_ && here_ == phase::stage2) here_ = phase::combined;
  }
  void tlbi_vmalls12e1is() {
    broadcast(whole_vmid(why_));
    everywhere_ = phase::combined;
  }
  void tlbi_vmalls12e1() {
    alone(whole_vmid(why_));
    here_ = phase::combined;
  }

 private:
  // Of what was issued: nothing is waited for, stage 2 is complete, the combined entries are on their way out.
  enum class phase : unsigned char { issued, stage2, combined };
  [[nodiscard]] std::optional<invalidation_request> by_ipa(std::uint64_t x, bool leaf_only) const {
    return decode_tlbi_ipa(on_the_way(x), regime_, {leaf_only, why_});
  }
  [[nodiscard]] std::optional<invalidation_request> by_range(std::uint64_t x, bool leaf_only) const {
    return decode_tlbi_ipa_range(on_the_way(x), regime_, {leaf_only, why_});
  }
  void broadcast(const std::optional<invalidation_request>& named) {
    everywhere_ = phase::issued;
    if (!inside_ || !named) return;
    each_named<F>(*named, [&](const invalidation_request& each) {
      if (vmid == to_->options().vmid) to_->add(each);
      else to_->mmu().invalidate(each, vmid);
    });
  }
  void alone(const std::optional<invalidation_request>& named) {
    here_ = phase::issued;
    if (!inside_ || !named || vmid != to_->options().vmid) return;
    each_named<F>(*named, [&](const invalidation_request& each) { local_.push_back(each); });
  }

  machine<F>* to_;
  stage2_regime regime_;
  std::vector<invalidation_request> local_;
  invalidation_reason why_{};
  phase everywhere_ = phase::stage2;
  phase here_ = phase::stage2;
  bool inside_ = false;
};

// The harts of the machine. Those that are sent a fence execute it at once.
template <pte_format F, riscv::hfence_options Options>
class hfence_harts {
 public:
  operand_filter on_the_way = as_it_is;

  explicit hfence_harts(machine<F>& to) noexcept : to_(&to) {}

  // Why what follows is dropped, and whether other harts are to do so as well.
  void because(invalidation_reason why, bool everywhere) noexcept {
    why_ = why;
    everywhere_ = everywhere;
  }

  void hfence_gvma(std::uint64_t rs1, std::uint64_t vmid) { execute(decode_hfence_gvma(on_the_way(rs1), why_), vmid); }
  void hfence_gvma_all(std::uint64_t vmid) { execute(decode_hfence_gvma_all(why_), vmid); }
  void sfence_w_inval() noexcept { ordered_ = true; }
  void hinval_gvma(std::uint64_t rs1, std::uint64_t vmid) {
    if (ordered_) begun_.push_back({decode_hfence_gvma(on_the_way(rs1), why_), vmid, 0});
  }
  void sfence_inval_ir() {
    for (const execution& each : begun_) execute(each.named, each.vmid);
    begun_.clear();
    ordered_ = false;
  }
  void send(const riscv::gstage_fence& fence) {
    executed_.clear();
    const unsigned self = to_->current_cpu();
    for (unsigned hart = 0; hart < to_->mmu().cpus().size(); ++hart)
      if (hart != self) {
        hart_ = hart;
        fence.execute<Options>(*this);
      }
    hart_.reset();
  }
  void wait() { to_->complete(); }

 private:
  struct execution {
    invalidation_request named;
    std::uint64_t vmid;
    std::size_t harts;
  };

  void execute(const invalidation_request& named, std::uint64_t vmid) {
    const auto of = static_cast<unsigned>(vmid);
    each_named<F>(named, [&](const invalidation_request& each) {
      to_->mmu().invalidate_on(hart_.value_or(to_->current_cpu()), each, of);
    });
    if (everywhere_ && of == to_->options().vmid && count(named, vmid) == to_->mmu().cpus().size())
      each_named<F>(named, [&](const invalidation_request& each) { to_->add(each); });
  }
  // How many harts have executed it since it was sent.
  std::size_t count(const invalidation_request& named, std::uint64_t vmid) {
    for (execution& each : executed_)
      if (each.named == named && each.vmid == vmid) return ++each.harts;
    executed_.push_back({named, vmid, 1});
    return 1;
  }

  machine<F>* to_;
  std::optional<unsigned> hart_;  // that executes, where it is not the calling one
  std::vector<execution> begun_;
  std::vector<execution> executed_;
  invalidation_reason why_{};
  bool everywhere_ = false;
  bool ordered_ = false;
};

template <pte_format F>
inline constexpr arm64::granule granule_of = F::shape.page_bits == 12   ? arm64::granule::k4
                                             : F::shape.page_bits == 14 ? arm64::granule::k16
                                                                        : arm64::granule::k64;

template <pte_format F, arm64::tlbi_options Options = arm64::tlbi_options{}, class Caches = tlbi_caches<F>>
class encoded_tlbi : public arm64::stage2_invalidation<granule_of<F>, Caches, Options> {
  using base = arm64::stage2_invalidation<granule_of<F>, Caches, Options>;
  static constexpr stage2_regime regime{F::shape.page_bits, Options.lpa2, Options.level_hints};

 public:
  explicit encoded_tlbi(machine<F>* to) : base(Caches(*to, regime)) {}

  void add(const invalidation_request& request) {
    this->cpu().because(request.reason);
    base::add(request);
  }
  void local(const invalidation_request& request) {
    this->cpu().because(request.reason);
    base::local(request);
  }
};

template <pte_format F, riscv::hfence_options Options = riscv::hfence_options{}>
class encoded_hfence : public riscv::gstage_invalidation<hfence_harts<F, Options>, Options> {
  using base = riscv::gstage_invalidation<hfence_harts<F, Options>, Options>;

 public:
  explicit encoded_hfence(machine<F>* to) : encoded_hfence(to, to->options().vmid) {}
  encoded_hfence(machine<F>* to, unsigned vmid) : base(hfence_harts<F, Options>(*to), vmid) {}

  void add(const invalidation_request& request) {
    this->harts().because(request.reason, true);
    base::add(request);
  }
  void local(const invalidation_request& request) {
    this->harts().because(request.reason, false);
    base::local(request);
  }
};

}  // namespace quire::check
