// SPDX-License-Identifier: MIT
// Everything a freestanding user needs.
#pragma once

#include <quire/dirty/fault.hpp>             // fault_handler, dirty_log
#include <quire/format/arm64_stage2.hpp>     // arm64::stage2
#include <quire/format/riscv_gstage.hpp>     // riscv::sv39x4, riscv::sv48x4
#include <quire/policy/array_memory.hpp>     // array_memory
#include <quire/policy/observed_memory.hpp>  // observed_memory
#include <quire/policy/table_cache.hpp>      // table_cache
#include <quire/table/page_table.hpp>        // page_table
#include <quire/walk/entry_visitor.hpp>      // each_entry
