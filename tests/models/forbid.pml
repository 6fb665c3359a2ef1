// SPDX-License-Identifier: MIT
// FORBID(property, condition): the property fails if the condition holds here. A property is a byte variable with a
// number of its own, from 1 up; with ONLY=property the others are not looked at.
#ifndef ONLY
#define ASKED(property) true
#else
#define ASKED(property) (ONLY == property)
#endif
#define FORBID(property, condition) \
  if \
  :: ASKED(property) && (condition) -> assert(!property) \
  :: else \
  fi
