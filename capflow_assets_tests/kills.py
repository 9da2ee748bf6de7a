"""Kill `capflow` at a random moment, and look at what it left: the core of the tests that do so a few or many times.

A kill is of the whole process group, with no chance to clean up. Afterwards every table must be readable and have the
rows that it had before or those that the command was to give it; nothing may be lost, and nothing may be in the way of
the next command.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import STATE

TABLES = "raw/*,clean/*"
# A command that takes longer waits for something that a killed one has left.
BLOCKED_AFTER_SECONDS = 300
PAGE_ENDS_WITHIN_SECONDS = 60


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


def runs_in(home: Path, status: str) -> int:
    """How many runs Dagster's records have in a status; read off the file, which takes no second of imports."""
    file = home / "dagster" / "history" / "runs.db"
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file)) as database, suppress(sqlite3.OperationalError):
        return int(database.execute("select count(*) from runs where status = ?", (status,)).fetchone()[0])
    return 0


def child_of(process: subprocess.Popen[bytes]) -> int:
    """The process that carries a command out, once there is one."""
    file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if children := file.read_text().split():
            return int(children[0])
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


def first_user(home: Path, customer: str) -> str:
    """A user who stands on a bill."""
    from deltalake import DeltaTable

    bills = DeltaTable(str(home / "lake" / customer / "raw" / "bills")).to_pyarrow_dataset().to_table()
    return str(next(user for user in bills.column("user_id").to_pylist() if user))


def checksums(home: Path, customer: str) -> dict[str, str]:
    """What stands in each table, whatever the order of its rows; empty where it cannot be read."""
    from deltalake import DeltaTable

    sums = {}
    for log in sorted((home / "lake" / customer).glob("*/*/_delta_log")):
        table = log.parent
        name = f"{table.parent.name}/{table.name}"
        try:
            lines = sorted(map(repr, DeltaTable(str(table)).to_pyarrow_dataset().to_table().to_pylist()))
            sums[name] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        except Exception:  # of whatever kind: it cannot be read
            sums[name] = ""
    return sums


def of_page(home: Path) -> list[int]:
    """The processes of a `capflow ui` on a home that are still there."""
    import psutil

    pids = []
    for process in psutil.process_iter(["environ", "status"]):
        variables = process.info["environ"] or {}
        is_its = variables.get("CAPFLOW_HOME") == str(home) and "PYTHONSAFEPATH" in variables
        if is_its and process.info["status"] != psutil.STATUS_ZOMBIE:
            pids.append(process.pid)
    return pids


@dataclass
class Figures:
    """The consequences of the kills."""

    kills: dict[str, int] = field(default_factory=dict)
    ended_before: int = 0
    unreadable_tables: list[str] = field(default_factory=list)
    lost_rows: list[str] = field(default_factory=list)
    changed_canaries: list[str] = field(default_factory=list)
    blocked_commands: list[str] = field(default_factory=list)
    left_processes: list[str] = field(default_factory=list)

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
        """Whether nothing was lost, changed, broken, blocked or left."""
        broken = (self.unreadable_tables, self.lost_rows, self.changed_canaries, self.blocked_commands)
        return not any((*broken, self.left_processes))


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

    def untouched(self, customers: Sequence[str]) -> Callable[[str], None]:
        """As ``watched``, of customers whom no command names: every row must be what it was, and no more."""
        before = {name: checksums(self.home, name) for name in customers}

        def compare(where: str) -> None:
            for name, sums in before.items():
                now = checksums(self.home, name)
                changed = [table for table in {**sums, **now} if sums.get(table) != now.get(table)]
                self.figures.changed_canaries += [f"{where}: {name}: {table}" for table in changed]

        return compare

    def page_is_gone(self) -> None:
        """Nothing of a page that was killed is left after a while."""
        until = time.monotonic() + PAGE_ENDS_WITHIN_SECONDS
        while (left := of_page(self.home)) and time.monotonic() < until:
            time.sleep(0.5)
        self.figures.left_processes += [f"of the page: {pid}" for pid in left]
