#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a program with address space randomisation off, where the system lets us: thread sanitizer
# runtimes of before 2024 die at start on kernels that randomise more bits than they expect.
if setarch "$(uname -m)" -R true 2>/dev/null; then
  exec setarch "$(uname -m)" -R "$@"
fi
exec "$@"
