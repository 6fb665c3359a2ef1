// SPDX-License-Identifier: MIT
// The read side of locking::shared: it may add rights to, or age, one existing page leaf.
#pragma once

#include <quire/policy/locking.hpp>      // shared_lockable
#include <quire/table/page_session.hpp>  // page_session

namespace quire {

// The read side. Several may be at work at once, beside the hardware; never beside an exclusive session.
template <class Table, shared_lockable RwLock>
class shared_session : public page_session<Table> {
 public:
  constexpr shared_session(Table& table, RwLock& lock) noexcept : page_session<Table>(table), lock_(lock) {
    lock_.lock_shared();
  }
  shared_session(const shared_session&) = delete;
  shared_session& operator=(const shared_session&) = delete;
  constexpr ~shared_session() { lock_.unlock_shared(); }

 private:
  RwLock& lock_;
};

}  // namespace quire
