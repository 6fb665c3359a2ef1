// SPDX-License-Identifier: MIT
// What a session may do that has others beside it, with one page leaf and by one compare-exchange: shared.hpp.
#pragma once

#include <quire/table/reading_session.hpp>  // reading_session
#include <quire/table/shared.hpp>           // grant_write, relax_page, age_page

namespace quire {

template <class Table, bool KeepsRoot>
class page_session : public reading_session<Table, KeepsRoot> {
  using base = reading_session<Table, KeepsRoot>;

 public:
  using format = typename Table::format;

  // The write-fault fast path. mark() is called once, before or after the leaf becomes writable as the locking policy
  // has it.
  template <class Mark>
  [[nodiscard]] QUIRE_INLINE constexpr write_grant make_writable(input_address address, Mark&& mark) noexcept {
    const auto root = this->reach();
    if (!root.exists() || !is_translatable<format>(address)) return write_grant::not_mapped;
    return grant_write<format>(table_->policies(), root.table(), address, mark);
  }
  // Adds rights to the page leaf that translates `address`; the write permission only where may_write is set. Errors:
  // not_mapped; busy; unsupported_level for a block or a group; not_permitted.
  constexpr result<void> relax(input_address address, permissions rights) noexcept {
    const auto root = this->reach().get();
    if (!root) return root.error();
    if (!is_translatable<format>(address)) return error{errc::beyond_input, -1, address.value};
    return relax_page<format>(table_->policies(), *root, address, rights);
  }
  // Clears the accessed bit of the page leaf that translates `address`; gives whether it was set.
  constexpr result<bool> test_and_clear_accessed(input_address address) noexcept {
    static_assert(format::facts.has_accessed,
                  "this format has no accessed bit: each leaf counts as accessed, and stays so");
    const auto root = this->reach().get();
    if (!root) return root.error();
    if (!is_translatable<format>(address)) return error{errc::beyond_input, -1, address.value};
    return age_page<format>(table_->policies(), *root, address);
  }

  // Makes the calling CPU forget what it has cached of the page, "not mapped" as well: for whoever found done what he
  // came to do, while another's invalidation may still be on its way.
  constexpr void forget_locally(input_address address) noexcept {
    const input_range page = page_of<format>(address);
    table_->policies().invalidation.local({page.first(), page.last(), -1, false, invalidation_reason::installed});
  }

 protected:
  using base::table_;
  constexpr explicit page_session(Table& table) noexcept : base(table) {}
};

}  // namespace quire
