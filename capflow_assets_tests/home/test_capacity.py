"""What a container may hold, and what of it is free, as both kinds of control groups write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets.graph.night_history import machine_memory_gib
from capflow_assets.home import capacity

MIB, GIB = 1 << 20, 1 << 30


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a container, with 64 GiB to be had."""
    groups = [
        (tmp_path / kind / limit.name, tmp_path / kind / used.name, cache)
        for kind, (limit, used, cache) in zip(("v2", "v1"), capacity.CGROUPS, strict=True)
    ]
    monkeypatch.setattr(capacity, "CGROUPS", groups)
    monkeypatch.setattr(capacity, "MEMORY", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text(f"MemTotal: {128 << 20} kB\nMemAvailable: {64 << 20} kB\n")
    (tmp_path / "v1").mkdir()
    (tmp_path / "v2").mkdir()
    return tmp_path


def test_copies_of_files_are_free(system: Path) -> None:
    """A container of 1 GiB that has read its tables holds nearly all of it, and most of that are copies of files."""
    (system / "v2" / "memory.max").write_text(f"{GIB}\n")
    (system / "v2" / "memory.current").write_text(f"{GIB - MIB}\n")
    (system / "v2" / "memory.stat").write_text(f"anon {100 * MIB}\ninactive_file {800 * MIB}\nactive_file {MIB}\n")
    assert capacity.free_bytes() == 801 * MIB


def test_older_control_groups_are_read_too(system: Path) -> None:
    (system / "v1" / "memory.limit_in_bytes").write_text(f"{GIB}\n")
    (system / "v1" / "memory.usage_in_bytes").write_text(f"{GIB - MIB}\n")
    (system / "v1" / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {800 * MIB}\n")
    assert capacity.free_bytes() == 801 * MIB
    assert machine_memory_gib() == 1.0, "of a night as well"


def test_without_a_limit_the_machine_counts(system: Path) -> None:
    (system / "v2" / "memory.max").write_text("max\n")
    (system / "v2" / "memory.current").write_text(f"{GIB}\n")
    assert capacity.free_bytes() == 64 * GIB
    assert capacity.limit_bytes() is None


def test_a_system_that_does_not_say_is_not_asked_twice(system: Path) -> None:
    (system / "meminfo").unlink()
    assert capacity.free_bytes() is None
    assert capacity.processes_that_fit(1) == 1
