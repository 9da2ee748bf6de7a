"""How many customers this machine, or container, computes at once: by its cores, and by the memory that is free."""

from __future__ import annotations

import os
from pathlib import Path

# What one process takes for a customer of 1.5 million line items and 25 models, engine included: 2.6 GB measured.
PROCESS_BYTES = 3 << 30
CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
MEMORY = Path("/proc/meminfo")


def processes_that_fit(customers: int) -> int:
    """How many of ``customers`` can be computed at once, each in a process of its own; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = free_bytes()
    by_memory = cores if free is None else free // PROCESS_BYTES
    return max(1, min(customers, cores, by_memory))


def free_bytes() -> int | None:
    """The memory that can be had without taking it from anybody; None where the system does not say."""
    frees = [limit - used for limit, used in map(_numbers, CGROUPS) if limit is not None and used is not None]
    for line in MEMORY.read_text().splitlines() if MEMORY.exists() else ():
        if line.startswith("MemAvailable:"):
            frees.append(int(line.split()[1]) * 1024)
    return min(frees, default=None)


def _numbers(files: tuple[Path, Path]) -> tuple[int | None, int | None]:
    texts = [file.read_text().strip() if file.exists() else "" for file in files]
    limit, used = (int(text) if text.isdigit() else None for text in texts)
    return limit, used
