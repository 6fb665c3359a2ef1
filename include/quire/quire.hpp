// SPDX-License-Identifier: MIT
// Everything a freestanding user needs, the lowest layer first and each concept by itself: so the list of includes that
// a compiler puts before an error stays short. Of the formats, RISC-V's and arm64 stage 2; the others, and what
// computes register values, are included besides.
#pragma once

#include <quire/version.hpp>                 // QUIRE_VERSION_MAJOR
#include <quire/format/concept.hpp>          // pte_format
#include <quire/format/arm64_stage2.hpp>     // arm64::stage2
#include <quire/format/riscv_gstage.hpp>     // riscv::sv39x4 and its like
#include <quire/format/riscv_stage1.hpp>     // riscv::sv39 and its like
#include <quire/policy/memory.hpp>           // memory_policy
#include <quire/policy/array_memory.hpp>     // array_memory
#include <quire/policy/observed_memory.hpp>  // observed_memory
#include <quire/policy/foreign_memory.hpp>   // foreign_memory, memory_dump
#include <quire/policy/constant_tables.hpp>  // table_block, block_tables
#include <quire/policy/maintenance.hpp>      // maintenance_policy
#include <quire/policy/table_source.hpp>     // table_source
#include <quire/policy/table_cache.hpp>      // table_cache
#include <quire/policy/invalidation.hpp>     // invalidation_policy
#include <quire/policy/reclaim.hpp>          // reclaim_policy
#include <quire/policy/yield.hpp>            // yield_policy
#include <quire/policy/locking.hpp>          // locking_policy
#include <quire/policy/epoch.hpp>            // epoch_reclaim
#include <quire/policy/update.hpp>           // update::policy
#include <quire/policy/policies.hpp>         // policies
#include <quire/walk/walker.hpp>             // walk
#include <quire/walk/entry_visitor.hpp>      // each_entry
#include <quire/table/foreign.hpp>           // foreign_for_each_mapping
#include <quire/table/session.hpp>           // exclusive_session
#include <quire/table/page_table.hpp>        // page_table
#include <quire/table/one_of.hpp>            // one_of
#include <quire/table/constant_table.hpp>    // constant_table
#include <quire/dirty/memory_slot.hpp>       // memory_slot
#include <quire/dirty/sink.hpp>              // dirty_sink
#include <quire/dirty/dirty_log.hpp>         // dirty_log
#include <quire/dirty/fault.hpp>             // fault_handler
