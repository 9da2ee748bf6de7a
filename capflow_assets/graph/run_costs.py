"""What a night's run costs besides its work, kept as its tags: the start of its process, and the most memory it had."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

from capflow_assets.graph.night_history import KIND, PEAK, STARTUP
from capflow_assets.processes.customer_lock import HELD_ELSEWHERE
from capflow_assets.processes.run_processes import started

# Memory is noted anew where it has grown by so much since: each of a night's steps asks twice.
GROWTH = 1.05
_noted_mib: dict[str, int] = {}


def note_costs(context: Any) -> None:
    """Tag a night's run with what it has cost so far; others, and steps on a cluster, are left as they are."""
    if os.environ.get(HELD_ELSEWHERE) or KIND not in context.run.tags:
        return
    peak, run_id = peak_mib(), context.run.run_id
    if peak < GROWTH * _noted_mib.get(run_id, 0):
        return
    _noted_mib[run_id] = peak
    record = context.instance.get_run_record_by_id(context.run.run_id)
    if record is None:
        return
    before = record.dagster_run.tags
    tags = {PEAK: str(max(peak, int(before.get(PEAK, 0))))}
    seconds, began = process_seconds(), record.start_time
    if STARTUP not in before and seconds is not None and began is not None:
        tags[STARTUP] = f"{max(0.0, seconds - (time.time() - began)):.1f}"
    context.instance.add_run_tags(context.run.run_id, tags)


def peak_mib() -> int:
    """The most memory that this process had, and its children: those that are there, or the largest that was. MiB."""
    own, ended = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    children = [pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()]
    there = sum(map(_peak_kib, children))
    return (own + max(ended, there)) // 1024


def _peak_kib(pid: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:  # it has just ended
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def process_seconds() -> float | None:
    """How long this process has been there; None where the system does not say."""
    ticks = started(os.getpid()).split()
    if not ticks or not ticks[-1].isdigit():
        return None
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks[-1]) / os.sysconf("SC_CLK_TCK"))
