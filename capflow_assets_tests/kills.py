"""Kill `capflow` at a random moment, and look at what it left: the core of the tests that do so a few or many times.

A kill is of the whole process group, with no chance to clean up. Afterwards every table must be readable and have the
rows that it had before or those that the command was to give it; nothing may be lost, and nothing may be in the way of
the next command.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_tests.homes import STATE

TABLES = "raw/*,clean/*"
# A command that takes longer waits for something that a killed one has left.
BLOCKED_AFTER_SECONDS = 150


def environment() -> dict[str, str]:
    """The variables of a process of its own: none that point at another home."""
    return {name: value for name, value in os.environ.items() if name not in STATE}


def started(home: Path, *arguments: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    """`capflow` in a process group of its own, as a terminal would start it."""
    command = [sys.executable, "-m", "capflow_assets", *arguments, "--home", str(home)]
    sink = (log or home.parent / "command.log").open("wb")
    with sink:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True, env=environment()
        )


def child_of(process: subprocess.Popen[bytes]) -> int:
    """The process that carries a command out, once there is one."""
    file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if found := file.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise AssertionError("the command has no child")


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and all that it started, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def small_customer(folder: Path, name: str, seed: int) -> Path:
    """The TOML of a customer who sends a few bills and nothing else."""
    return write(simulate(tiny(name, seed=seed, users=60, days=40, sends=("bills",))), folder / name)


def rows(home: Path, customer: str) -> dict[str, int]:
    """The rows of each table, counted in the files that the table's log names; -1 where it cannot be read."""
    from deltalake import DeltaTable

    counts = {}
    for log in sorted((home / "lake" / customer).glob("*/*/_delta_log")):
        table = log.parent
        try:
            counts[f"{table.parent.name}/{table.name}"] = (
                DeltaTable(str(table)).to_pyarrow_dataset().to_table().num_rows
            )
        except Exception:  # of whatever kind: it cannot be read
            counts[f"{table.parent.name}/{table.name}"] = -1
    return counts


@dataclass
class Figures:
    """What came of the kills."""

    kills: dict[str, int] = field(default_factory=dict)
    ended_before: int = 0
    unreadable_tables: list[str] = field(default_factory=list)
    lost_rows: list[str] = field(default_factory=list)
    blocked_commands: list[str] = field(default_factory=list)

    def note_tables(self, where: str, before: Mapping[str, int], after: Mapping[str, int], may_lose: int = 0) -> None:
        """Compare a customer's tables with what they were; a command may have taken ``may_lose`` rows of each."""
        for table, count in before.items():
            now = after.get(table, -1)
            if now < 0:
                self.unreadable_tables.append(f"{where}: {table}")
            elif now < count - may_lose:
                self.lost_rows.append(f"{where}: {table}: {now} of {count}")
        self.unreadable_tables += [
            f"{where}: {table}" for table, now in after.items() if now < 0 and table not in before
        ]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, broken or blocked."""
        return not (self.unreadable_tables or self.lost_rows or self.blocked_commands)


@dataclass
class Kills:
    """Kills of commands on one home, drawn with a seed."""

    home: Path
    seed: int
    figures: Figures = field(default_factory=Figures)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def kill(self, *arguments: str, within: tuple[float, float] = (0.5, 6.0)) -> bool:
        """Start a command and kill it at a moment ``within`` so many seconds; False where it was over by then."""
        process = started(self.home, *arguments)
        try:
            process.wait(self.random.uniform(*within))
        except subprocess.TimeoutExpired:
            kill_group(process)
            self.figures.kills[arguments[0]] = self.figures.kills.get(arguments[0], 0) + 1
            return True
        self.figures.ended_before += 1
        return False

    def must_work(self, *arguments: str, codes: Sequence[int] = (0,)) -> str:
        """A plain command, which what was killed before must not be in the way of; what it said."""
        log = self.home.parent / "plain.log"
        process = started(self.home, *arguments, log=log)
        try:
            code: int | str = process.wait(BLOCKED_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            kill_group(process)
            code = f"nothing after {BLOCKED_AFTER_SECONDS} s"
        said = log.read_text(errors="replace")
        if code not in codes:
            self.figures.blocked_commands.append(f"{' '.join(arguments)}: {code}: {said[-800:]}")
        return said

    def watched(self, customers: Sequence[str], may_lose: int = 0) -> Callable[[str], None]:
        """Remember the customers' tables; call what is given to compare them then with what they are now."""
        before = {name: rows(self.home, name) for name in customers}

        def compare(where: str) -> None:
            for name in customers:
                self.figures.note_tables(f"{where}: {name}", before[name], rows(self.home, name), may_lose)

        return compare
