// SPDX-License-Identifier: MIT
// A memory policy that lacks one of the six accesses.
// expect: Policies::memory must be a memory_policy for the format's word
// expect: compare_exchange<Word>\(.*\)' (is|would be) invalid
#include <quire/quire.hpp>

#include "user.hpp"

struct my_memory {
  template <class Word>
  Word load(quire::table_address, std::size_t, quire::order) const;
  template <class Word>
  void store(quire::table_address, std::size_t, Word, quire::order) const;
  template <class Word>
  Word exchange(quire::table_address, std::size_t, Word, quire::order) const;
#if QUIRE_RIGHT
  template <class Word>
  bool compare_exchange(quire::table_address, std::size_t, Word&, Word, quire::order) const;
#endif
  template <class Word>
  Word fetch_and(quire::table_address, std::size_t, Word, quire::order) const;
  template <class Word>
  Word fetch_or(quire::table_address, std::size_t, Word, quire::order) const;
};
struct my_kernel : quire::policies {
  my_memory memory;
};

bool use(quire::page_table<riscv, my_kernel>& table) { return table.create().has_value(); }
