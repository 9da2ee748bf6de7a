"""A simulated week of nights under Dagster's own daemon, in which anything may be killed at any moment.

Real processes and services: the daemon with its code server and the runs' processes, PostgreSQL for Dagster's records
and as a destination, S3 and a webhook as destinations. Only the sensors' clock is put forward, a day a night. Every
evening each customer sends one day of bills more, with a user more. No model is trained: the predictions that the night
delivers are written by hand.
"""

from __future__ import annotations

import base64
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.graph.night_runs import IN_FLIGHT
from capflow_assets.graph.night_status import night_rows, sensor_cursor
from capflow_assets.graph.onboarding import onboard
from capflow_assets.home.places import Home
from capflow_assets_doubles.homes import own_environment
from capflow_assets_doubles.http_server import http_server
from capflow_assets_doubles.sql_servers import PASSWORD, Server
from capflow_assets_tests.graph.night_daemon import BILLS, TOML, deployment_in
from capflow_assets_tests.graph.week_definitions import CLOCK
from capflow_assets_tests.graph.week_services import BUCKET, Bucket, Receiver, halted

MODEL = "rfm_segments"
OVER = ("done", "late", "failed")
LOOK_SECONDS = 1.0
KINDS = ("run", "run", "run", "run", "daemon", "daemon", "code server", "database", "S3", "webhook")
PART_OF_COMMAND = {"run": "spawn_main", "daemon": "dagster._daemon", "code server": "dagster api grpc"}
# A night that is not over by then hangs on something that a kill has left.
BLOCKED_AFTER_SECONDS = 1800
DAEMON = (
    "import dagster._daemon.sensor as sensor; sensor.MIN_INTERVAL_LOOP_TIME = 1; "
    "from dagster._daemon.cli import main; main()"
)
DESTINATIONS = """
[night]
start = "START"
zone = "UTC"
[[delivery]]
name = "hook"
kind = "webhook"
models = ["rfm_segments"]
contact = false
options = { url = "HOOK", secrets = [{ env = "NAME_HOOK" }], allow_private = true, rows_per_message = 4, tries = 2, first_wait_seconds = 0.05 }
[[delivery]]
name = "crm"
kind = "sql"
models = ["rfm_segments"]
contact = false
options = { location = "CRM", table = "NAME_{model}", user = "reader", password = { env = "NAME_CRM" } }
[[delivery]]
name = "files"
kind = "parquet"
models = ["rfm_segments"]
contact = false
options = { location = "s3://BUCKET", rows_per_file = 4, login = { endpoint = "S3", region = "us-east-1", access_key = { env = "NAME_KEY" }, secret_key = { env = "NAME_KEY" } } }
"""  # noqa: E501  (an inline table of TOML is one line)


@dataclass
class Figures:
    """What was killed, and with what consequences; each list is empty where all is well."""

    kills: Counter[str] = field(default_factory=Counter)
    nights: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    without_reason: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, object]:
        """The figures as JSON takes them; ``asdict`` would count the pairs of a Counter."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled, unexplained or in the way of what came after."""
        return not any((self.lost, self.doubled, self.without_reason, self.blocked))


@dataclass
class Week:
    """The home, its services, and what is killed of them."""

    root: Path
    names: tuple[str, ...]
    database: Server
    bucket: Bucket
    receiver: Receiver
    hook: str
    seed: int
    figures: Figures = field(default_factory=Figures)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.home = Home.of(self.root / "home")
        self.deployment = deployment_in(self.root)
        self.nights = 0
        self.daemon: subprocess.Popen[bytes] | None = None
        begun = datetime.now(UTC) - timedelta(minutes=2)
        self.start, self.first_day = f"{begun:%H:%M}", begun.date()

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dagster_instance(self.home) as instance:
            yield instance

    def onboard(self) -> None:
        """Bring the customers in, and let the daemon see them before their first night."""
        self.database.run("grant all on schema public to reader")
        with self.instance() as instance:
            for name in self.names:
                file = self.root / name / f"{name}.toml"
                file.parent.mkdir()
                places = {
                    "START": self.start,
                    "HOOK": self.hook,
                    "CRM": self.database.location(),
                    "S3": self.bucket.url,
                }
                text = TOML + DESTINATIONS.replace("BUCKET", f"{BUCKET}/{name}")
                for word, value in places.items():
                    text = text.replace(f'"{word}"', f'"{value}"')
                file.write_text(text.replace("NAME", name))
                self.send(name)
                onboard(self.deployment, instance, file)
        self.put_clock()
        self.revive()
        self.wait(lambda: len(self.rows()) == len(self.names), "the daemon does not see the customers")

    def send(self, name: str) -> None:
        """The bills of one day more, of a user more."""
        days = (date(2024, 7, 1) + timedelta(days=number) for number in range(self.nights + 1))
        new = "".join(f"n{day:%d},{day} 10:00,9.50,v{day:%d}\n" for day in days)
        file = self.root / name / "bills.csv"
        file.with_suffix(".new").write_text(BILLS + new)
        file.with_suffix(".new").replace(file)
        self.score(name)

    def score(self, name: str) -> None:
        """Predictions of the evening for all users."""
        import pyarrow as pa
        from deltalake import write_deltalake

        as_of = datetime(2024, 7, 1, tzinfo=UTC) + timedelta(days=self.nights)
        of_all = {"score": 0.5, "percentile": 50.0, "decile": 5, "band": "medium", "reasons": "", "rung": "own"}
        rows = [{"user_id": user, "as_of": as_of, "model_version": 1} | of_all for user in sorted(self.users)]
        write_deltalake(
            self.deployment.lake.path(name, f"predictions/{MODEL}"), pa.Table.from_pylist(rows), mode="overwrite"
        )

    @property
    def bills(self) -> int:
        return len(BILLS.splitlines()) - 1 + self.nights + 1

    @property
    def users(self) -> set[str]:
        """Who is to be delivered by now."""
        return {f"u{number}" for number in range(7)} | {f"v{1 + number:02}" for number in range(self.nights + 1)}

    def put_clock(self) -> None:
        file = Path(os.environ[CLOCK])
        file.with_suffix(".new").write_text(str(self.nights * 86_400))
        file.with_suffix(".new").replace(file)

    @property
    def now(self) -> float:
        return datetime.now(UTC).timestamp() + self.nights * 86_400

    def rows(self) -> list[dict[str, Any]]:
        """What ``capflow status --night`` says."""
        with self.instance() as instance:
            return night_rows(STAGES, instance, sensor_cursor(instance), self.now, self.names)

    def night(self, *kinds: str) -> None:
        """One night of all customers, while which something of each of these kinds is killed, in their order."""
        before, left = self.landed(), list(kinds)
        self.nights += 1
        for name in self.names:
            self.send(name)
        self.put_clock()
        until, next_kill = time.monotonic() + BLOCKED_AFTER_SECONDS, time.monotonic() + self.random.uniform(1, 5)
        while not self.is_over():
            if time.monotonic() > until:
                self.figures.blocked.append(f"night {self.nights}: {self.rows()}")
                break
            self.revive()
            if left and time.monotonic() >= next_kill and self.kill(left[0]):
                left.pop(0)
                next_kill = time.monotonic() + self.random.uniform(0.5, 6)
            time.sleep(LOOK_SECONDS)
        self.judge(before)

    @property
    def day(self) -> str:
        """The day that the night is called after."""
        return str(self.first_day + timedelta(days=self.nights))

    def is_over(self) -> bool:
        rows = self.rows()
        return all(row["night"] == self.day and row["state"] in OVER for row in rows)

    def is_at_rest(self) -> bool:
        """Whether nothing runs and no delivery is to be made again."""
        with self.instance() as instance:
            return not instance.get_runs_count(dg.RunsFilter(statuses=IN_FLIGHT))

    def wait(self, look: Callable[[], bool], problem: str, seconds: float = 300) -> None:
        until = time.monotonic() + seconds
        while not look():
            self.revive()
            if time.monotonic() > until:
                self.figures.blocked.append(f"{problem}: {self.log.read_text(errors='replace')[-2000:]}")
                return
            time.sleep(LOOK_SECONDS)

    def revive(self) -> None:
        """Start the daemon where there is none, as `capflow ui` and Kubernetes do."""
        if self.daemon is None or self.daemon.poll() is not None:
            command = [sys.executable, "-c", DAEMON, "run", "-m", "capflow_assets_tests.graph.week_definitions"]
            with self.log.open("ab") as sink:
                self.daemon = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
                )

    @property
    def log(self) -> Path:
        return self.root / "daemon.log"

    def kill(self, kind: str) -> bool:
        """Kill or stop something of a kind; False where it is not there at present."""
        pause = self.random.uniform(0.5, 3)
        if kind == "database":
            self.database.stop()
            time.sleep(pause)
            self.database.start()
        elif kind == "S3":
            with halted(self.bucket):
                time.sleep(pause)
        elif kind == "webhook":
            self.receiver.is_down = True
            time.sleep(pause)
            self.receiver.is_down = False
        else:
            pids = self.processes(kind)
            if not pids:
                return False
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(pids), signal.SIGKILL)
        self.figures.kills[kind] += 1
        return True

    def processes(self, kind: str | None = None) -> list[int]:
        """The processes of the week, of one kind where it is named."""
        import psutil

        pids = []
        for process in psutil.process_iter(["pid", "cmdline", "environ", "status"]):
            variables, words = process.info["environ"] or {}, " ".join(process.info["cmdline"] or ())
            is_ours = variables.get("CAPFLOW_HOME") == str(self.home.root) and process.pid != os.getpid()
            is_there = process.info["status"] != psutil.STATUS_ZOMBIE and "resource_tracker" not in words
            if is_ours and is_there and (kind is None or PART_OF_COMMAND[kind] in words):
                pids.append(process.pid)
        return pids

    def end(self) -> None:
        """End what the week has started."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.daemon is not None:
            self.daemon.wait()

    def landed(self) -> dict[str, int]:
        """The bills of each customer in the lake."""
        lake = self.deployment.lake
        return {name: lake.arrow(name, "raw/bills").num_rows for name in self.names if lake.exists(name, "raw/bills")}

    def judge(self, before: Mapping[str, int]) -> None:
        """What this night has lost or done twice, and what is not explained."""
        figures, now = self.figures, self.landed()
        figures.lost += [
            f"night {self.nights}: {name}: {now.get(name)} of {n}"
            for name, n in before.items()
            if now.get(name, -1) < n
        ]
        for row in self.rows():
            figures.nights[row["state"]] += 1
            if row["state"] in ("done", "late") and now.get(row["customer"]) != self.bills:
                figures.lost.append(
                    f"night {self.nights}: {row['customer']}: {now.get(row['customer'])} of {self.bills}"
                )
            if row["state"] == "failed" and not row["why"]:
                figures.without_reason.append(f"night {self.nights}: {row}")


@contextmanager
def week(root: Path, names: tuple[str, ...], database: Server, seed: int) -> Iterator[Week]:
    """The week of these customers, begun; at the end of the block nothing of it is left."""
    receiver, bucket = Receiver(random.Random(seed)), Bucket()
    database.run("create database dagster")
    key = "whsec_" + base64.b64encode(b"k" * 32).decode()
    variables = {
        "CAPFLOW_HOME": str(root / "home"),
        "DAGSTER_HOME": str(root / "home" / "dagster"),
        "CAPFLOW_POSTGRES_URL": f"postgresql+psycopg2://postgres@127.0.0.1:{database.port}/dagster",
        CLOCK: str(root / "clock"),
    }
    secrets = {"HOOK": key, "CRM": PASSWORD, "KEY": "root"}
    variables |= {f"{name}_{word}": value for name in names for word, value in secrets.items()}
    with own_environment(), pytest.MonkeyPatch.context() as patch, http_server(receiver) as hook:
        for variable, value in variables.items():
            patch.setenv(variable, value)
        running = Week(root, names, database, bucket, receiver, hook, seed)
        try:
            running.onboard()
            yield running
        finally:
            running.end()
            bucket.stop()
