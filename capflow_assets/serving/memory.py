"""What this process holds in memory, and giving back what it does not need any more."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

# What the C library calls the number of its arenas, one of which each thread fills.
M_ARENA_MAX = -8
ARENAS = 2


def rss_bytes() -> int:
    """What this process holds in memory; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def keep_few_arenas() -> None:
    """Let the threads share their memory, where they can: each that publishes or loads would keep its own."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, ARENAS)


def keep_for_good() -> None:
    """Look at what is there now in no collection any more: to look at all of it holds every answer up.

    Call it once all libraries are in.
    """
    gc.collect()
    gc.freeze()


def give_memory_back() -> None:
    """Give free memory of the C library, and of Arrow where it is in use, back to the system, where it can."""
    gc.collect()
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
