"""This machine, or the container: disk, memory, open files."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from capflow_assets.doctor.case import Case, Checks, Diagnosis, broken, existing, ok, skipped, warning

GB = 1e9
LITTLE_DISK, NO_DISK = 10 * GB, 1 * GB
LITTLE_MEMORY, NO_MEMORY = 8 * GB, 2 * GB
FEW_FILES, TOO_FEW_FILES = 1024, 256
LARGE_LOG = 10 * GB
COUNTING_SECONDS = 3
CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def disk(case: Case) -> Checks:
    """Free space for the home, the lake and temporary files."""
    places = {"home": case.home.root, "temporary files": Path(tempfile.gettempdir())}
    lake = None if case.in_bucket else Path(case.home.lake)
    if lake is not None:
        places["lake"] = lake
    used = 0.0 if lake is None else size_bytes(lake)
    disks: dict[int, list[str]] = {}
    for name, place in places.items():
        disks.setdefault(existing(place).stat().st_dev, []).append(name)
    for names in disks.values():
        free = float(case.disk_usage(existing(places[names[0]])).free)
        needed = max(LITTLE_DISK, 2 * used) if "lake" in names else LITTLE_DISK
        yield _space(", ".join(names), free, needed)


def _space(names: str, free: float, needed: float) -> Diagnosis:
    words = f"{names}: {free / GB:,.1f} GB free"
    do = "free some, or move them: CAPFLOW_HOME, CAPFLOW_LAKE, TMPDIR"
    if free < NO_DISK:
        return broken(words, do)
    more = f", {needed / GB:,.0f} GB wanted (twice the lake, at least {LITTLE_DISK / GB:.0f})"
    return warning(words + more, do) if free < needed else ok(words)


def memory(case: Case) -> Checks:
    """Memory, that of the container where there is one."""
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        yield skipped("this system does not tell")
        return
    machine = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limits = [float(text) for file in CGROUPS if file.exists() and (text := file.read_text().strip()).isdigit()]
    total = min([machine, *limits])
    words = f"{total / GB:,.1f} GB" + (" allowed to this container" if total < machine else "")
    do = "give more memory, or let fewer runs work at once (max_concurrent_runs in dagster.yaml)"
    if total < NO_MEMORY:
        yield broken(words, do)
    else:
        yield warning(words, do) if total < LITTLE_MEMORY else ok(words)


def open_files(case: Case) -> Checks:
    """How many files a process may open."""
    try:
        import resource
    except ImportError:
        yield skipped("this system does not tell")
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    words = f"{soft:,} for each process"
    do = "ulimit -n 4096, or LimitNOFILE= of the service"
    if soft == resource.RLIM_INFINITY or soft >= FEW_FILES:
        yield ok("no limit" if soft == resource.RLIM_INFINITY else words)
    else:
        yield broken(words, do) if soft < TOO_FEW_FILES else warning(words, do)


def event_log(case: Case) -> Checks:
    """The size of Dagster's event log on this disk."""
    if case.environment.get("CAPFLOW_POSTGRES_URL"):
        yield skipped("it is in PostgreSQL")
        return
    size = size_bytes(case.home.dagster)
    words = f"{size / GB:,.2f} GB in {case.home.dagster}"
    do = "delete old runs in Dagster, or move to PostgreSQL: CAPFLOW_POSTGRES_URL"
    yield warning(words, do) if size > LARGE_LOG else ok(words)


def size_bytes(folder: Path) -> float:
    """The bytes of the files below a folder that can be counted in a few seconds."""
    until, total = time.monotonic() + COUNTING_SECONDS, 0.0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(path, name).lstat().st_size
            except OSError:  # deleted in the meantime
                continue
        if time.monotonic() > until:
            break
    return total


CHECKS = (disk, memory, open_files, event_log)
