# SPDX-License-Identifier: MIT
# The public headers, by hand: what is not here is not installed. The test headers.listed compares
# these lists with the files.

# Freestanding: no heap, no exceptions, no RTTI, no C++ runtime.
set(quire_core_headers
    include/quire/address.hpp
    include/quire/atomic.hpp
    include/quire/attributes.hpp
    include/quire/contract.hpp
    include/quire/error.hpp
    include/quire/geometry.hpp
    include/quire/quire.hpp
    include/quire/result.hpp
    include/quire/version.hpp
    include/quire/dirty/dirty_log.hpp
    include/quire/dirty/eager_split.hpp
    include/quire/dirty/fault.hpp
    include/quire/dirty/invalidation_sequence.hpp
    include/quire/dirty/memory_slot.hpp
    include/quire/dirty/sink.hpp
    include/quire/format/arm64_stage2.hpp
    include/quire/format/change.hpp
    include/quire/format/concept.hpp
    include/quire/format/riscv_gstage.hpp
    include/quire/format/tiny.hpp
    include/quire/policy/array_memory.hpp
    include/quire/policy/invalidation.hpp
    include/quire/policy/locking.hpp
    include/quire/policy/maintenance.hpp
    include/quire/policy/memory.hpp
    include/quire/policy/observed_memory.hpp
    include/quire/policy/policies.hpp
    include/quire/policy/reclaim.hpp
    include/quire/policy/table_cache.hpp
    include/quire/policy/table_source.hpp
    include/quire/policy/update.hpp
    include/quire/policy/yield.hpp
    include/quire/walk/descend.hpp
    include/quire/walk/entry_visitor.hpp
    include/quire/walk/flags.hpp
    include/quire/walk/run_kernels.hpp
    include/quire/walk/walker.hpp
    include/quire/table/annotate.hpp
    include/quire/table/change.hpp
    include/quire/table/collapse.hpp
    include/quire/table/detached.hpp
    include/quire/table/dirty.hpp
    include/quire/table/entry.hpp
    include/quire/table/lookup.hpp
    include/quire/table/map.hpp
    include/quire/table/operation.hpp
    include/quire/table/page_table.hpp
    include/quire/table/range.hpp
    include/quire/table/reading_session.hpp
    include/quire/table/session.hpp
    include/quire/table/shared.hpp
    include/quire/table/shared_session.hpp
    include/quire/table/split.hpp
    include/quire/table/subtree.hpp
    include/quire/table/unmap.hpp)

# For programs with an operating system below them.
set(quire_hosted_headers
    include/quire/check/arena.hpp
    include/quire/check/break_before_make.hpp
    include/quire/check/flat_model.hpp
    include/quire/check/lost_bit.hpp
    include/quire/check/machine.hpp
    include/quire/check/model_page.hpp
    include/quire/check/naive_walk.hpp
    include/quire/check/owed_invalidations.hpp
    include/quire/check/report.hpp
    include/quire/check/retired_table.hpp
    include/quire/check/software_mmu.hpp
    include/quire/check/stale_translation.hpp)
