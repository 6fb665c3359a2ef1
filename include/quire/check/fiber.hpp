// SPDX-License-Identifier: MIT
// Fibers: several stacks in one thread, of which one runs at a time until it switches to another by itself.
//
//   context here;                    whoever runs now
//   fiber other;                     a stack; start() as often as needed, whatever ran on it before
//   other.start(function, argument); nothing runs yet
//   switch_to(here, other);          returns when somebody switches back to `here`
//
// Requires of the function: it neither returns nor lets an exception out; it switches away for good instead. A fiber
// that is started again or destroyed in the middle of its function is dropped: no destructor of its frames runs, so
// what they own is lost. Everything happens in one thread of the operating system.
//
// POSIX contexts. Each switch costs two system calls (the signal mask), 0.2 to 0.4 us; callers switch rarely instead.
#pragma once

#include <sys/mman.h>  // mmap, mprotect
#include <ucontext.h>  // makecontext, swapcontext
#include <unistd.h>    // sysconf

#include <cstddef>    // size_t
#include <cstdint>    // uintptr_t
#include <exception>  // terminate

#include <quire/contract.hpp>  // QUIRE_EXPECTS

#if defined(__SANITIZE_ADDRESS__)
#define QUIRE_FIBERS_TELL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QUIRE_FIBERS_TELL_ASAN 1
#endif
#endif
#ifdef QUIRE_FIBERS_TELL_ASAN
#include <sanitizer/asan_interface.h>         // __asan_unpoison_memory_region
#include <sanitizer/common_interface_defs.h>  // __sanitizer_start_switch_fiber
#endif

namespace quire::check {

// Where a stack stood when it was switched away from.
class context {
 public:
  context() = default;
  context(const context&) = delete;
  context& operator=(const context&) = delete;

  friend void switch_to(context& from, context& to) noexcept {
#ifdef QUIRE_FIBERS_TELL_ASAN
    __sanitizer_start_switch_fiber(&from.fake_stack_, to.bottom_, to.size_);
    to.came_from_ = &from;
#endif
    swapcontext(&from.registers_, &to.registers_);
#ifdef QUIRE_FIBERS_TELL_ASAN
    __sanitizer_finish_switch_fiber(from.fake_stack_, nullptr, nullptr);
#endif
  }

 protected:
  // The first thing on a new stack. A dropped fiber's fake stack is used on: there is no way to free it from here.
  void arrive() noexcept {
#ifdef QUIRE_FIBERS_TELL_ASAN
    __sanitizer_finish_switch_fiber(fake_stack_, &came_from_->bottom_, &came_from_->size_);
#endif
  }

  ucontext_t registers_{};
  // For the address sanitizer; the stack of a context that is no fiber is learnt when it starts one.
  context* came_from_ = nullptr;
  void* fake_stack_ = nullptr;
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;
};

class fiber : public context {
 public:
  using function = void (*)(void*) noexcept;

  explicit fiber(std::size_t stack_bytes = 256 * 1024)
      : guard_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))), mapped_(stack_bytes + guard_) {
    memory_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // Stacks grow down: one that is too small faults instead of running into what lies below.
    const bool ready = memory_ != MAP_FAILED && mprotect(memory_, guard_, PROT_NONE) == 0;
    QUIRE_EXPECTS(ready);
    bottom_ = static_cast<char*>(memory_) + guard_;
    size_ = stack_bytes;
  }
  ~fiber() {
    clean_stack();
    munmap(memory_, mapped_);
  }

  // The next switch to this fiber enters function(argument).
  void start(function run, void* argument) noexcept {
    clean_stack();
    run_ = run;
    argument_ = argument;
    getcontext(&registers_);
    registers_.uc_stack.ss_sp = static_cast<char*>(memory_) + guard_;
    registers_.uc_stack.ss_size = size_;
    registers_.uc_link = nullptr;
    const auto self = reinterpret_cast<std::uintptr_t>(this);  // makecontext passes ints only
    makecontext(&registers_, reinterpret_cast<void (*)()>(&enter), 2, static_cast<unsigned>(self >> 16U >> 16U),
                static_cast<unsigned>(self));
  }

 private:
  static void enter(unsigned high, unsigned low) noexcept {
    auto* const self = reinterpret_cast<fiber*>((std::uintptr_t{high} << 16U << 16U) | low);
    self->arrive();
    self->run_(self->argument_);
    std::terminate();  // a function must not return
  }
  // What dropped frames left poisoned would be an error for the next ones.
  void clean_stack() noexcept {
#ifdef QUIRE_FIBERS_TELL_ASAN
    __asan_unpoison_memory_region(bottom_, size_);
#endif
  }

  std::size_t guard_;
  std::size_t mapped_;
  void* memory_ = nullptr;
  function run_ = nullptr;
  void* argument_ = nullptr;
};

}  // namespace quire::check
