// SPDX-License-Identifier: MIT
// Sessions that may add rights to, or age, one existing page leaf at a time: on the read side of locking::shared,
// beside other readers; in a read section of locking::concurrent, beside anything.
#pragma once

#include <quire/policy/locking.hpp>      // shared_lockable, read_section
#include <quire/table/page_session.hpp>  // page_session

namespace quire {

// Several may be at work at once, beside the hardware; never beside an exclusive session.
template <class Table, shared_lockable RwLock>
class shared_session : public page_session<Table, false> {
 public:
  constexpr shared_session(Table& table, RwLock& lock) noexcept : page_session<Table, false>(table), lock_(lock) {
    lock_.lock_shared();
  }
  shared_session(const shared_session&) = delete;
  shared_session& operator=(const shared_session&) = delete;
  constexpr ~shared_session() { lock_.unlock_shared(); }

 private:
  RwLock& lock_;
};

// What a fault needs of a section, and no more: it has nothing to complete and nothing to retire.
template <class Table, read_section Section>
class section_session : public page_session<Table, false> {
 public:
  constexpr section_session(Table& table, Section& section) noexcept
      : page_session<Table, false>(table), section_(section) {
    section_.enter();
  }
  section_session(const section_session&) = delete;
  section_session& operator=(const section_session&) = delete;
  constexpr ~section_session() { section_.leave(); }

 private:
  Section& section_;
};

}  // namespace quire
