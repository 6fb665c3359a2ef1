// SPDX-License-Identifier: MIT
// The read side of locking::shared: it may add rights to, or age, one existing page leaf.
#pragma once

#include <quire/table/reading_session.hpp>  // reading_session
#include <quire/table/shared.hpp>           // grant_write, relax_page, age_page

namespace quire {

// The read side. Several may be at work at once, beside the hardware; never beside an exclusive session.
template <class Table, class RwLock>
class shared_session : public reading_session<Table> {
  using base = reading_session<Table>;
  using base::table_;

 public:
  using format = typename Table::format;

  constexpr shared_session(Table& table, RwLock& lock) noexcept : base(table), lock_(lock) { lock_.lock_shared(); }
  shared_session(const shared_session&) = delete;
  shared_session& operator=(const shared_session&) = delete;
  constexpr ~shared_session() { lock_.unlock_shared(); }

  // The write-fault fast path: shared.hpp. mark() is called once, before the leaf becomes writable.
  template <class Mark>
  [[nodiscard]] constexpr write_grant make_writable(input_address address, Mark&& mark) noexcept {
    const auto root = table_->root();
    if (!root || !is_translatable<format>(address)) return write_grant::not_mapped;
    return grant_write<format>(table_->policies(), *root, address, mark);
  }
  // Adds rights to the page leaf that translates `address`; the write permission only where may_write is set. Errors:
  // not_mapped; unsupported_level for a block or a group (take the write side); not_permitted.
  constexpr result<void> relax(input_address address, permissions rights) noexcept {
    const auto root = table_->root();
    if (!root) return root.error();
    if (!is_translatable<format>(address)) return error{errc::beyond_input, -1, address.value};
    return relax_page<format>(table_->policies(), *root, address, rights);
  }
  // Clears the accessed bit of the page leaf that translates `address`; gives whether it was set.
  constexpr result<bool> test_and_clear_accessed(input_address address) noexcept {
    const auto root = table_->root();
    if (!root) return root.error();
    if (!is_translatable<format>(address)) return error{errc::beyond_input, -1, address.value};
    return age_page<format>(table_->policies(), *root, address);
  }

 private:
  RwLock& lock_;
};

}  // namespace quire
