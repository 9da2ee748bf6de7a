"""Dagster's page and daemon on a home, as `capflow ui` starts them, and its GraphQL as a browser would call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capflow_assets_doubles.engines import free_port
from capflow_assets_doubles.homes import STATE

BACKFILL = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""

IS_OVER = """
query Status($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }
"""

BACKFILL_STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      runs(limit: 100) { runId status assetSelection { path } tags { key value } }
      assetBackfillData { assetBackfillStatuses {
        ... on AssetPartitionsStatusCounts {
          assetKey { path } numPartitionsTargeted numPartitionsMaterialized numPartitionsFailed
        }
        ... on UnpartitionedAssetStatus { assetKey { path } materialized failed }
      } }
    }
    ... on PythonError { message }
  }
}
"""

PARTITIONS = """
query Partitions($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { assetPartitionStatuses { ... on DefaultPartitionStatuses {
    materializedPartitions failedPartitions unmaterializedPartitions materializingPartitions
  } } } }
}
"""

FAILURES = """
query Failures($id: ID!, $after: String) {
  runOrError(runId: $id) { ... on Run { eventConnection(afterCursor: $after) { cursor hasMore events {
    ... on ExecutionStepFailureEvent { stepKey error { message } failureMetadata { description } }
  } } } }
}
"""


# Most of what a test of backfills took was waiting for the daemon's next look.
QUICK = {"CAPFLOW_BACKFILL_SECONDS": "3"}


@dataclass(frozen=True)
class Server:
    """A running platform."""

    url: str
    home: Path
    log: Path

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer to a GraphQL query; an error in it is an error here."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def backfill(self, assets: Sequence[str], customers: Sequence[str]) -> str:
        """Launch a backfill as the page's button does, and give its id."""
        params = {"assetSelection": [{"path": key.split("/")} for key in assets], "partitionNames": list(customers)}
        answer = self.ask(BACKFILL, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]

    def finished_backfill(self, backfill: str, seconds: float = 1200) -> dict[str, Any]:
        """The backfill's state once it is over."""

        def is_over() -> bool:
            status = self.ask(IS_OVER, id=backfill)["partitionBackfillOrError"]["status"]
            return status not in ("REQUESTED", "CANCELING", "FAILING")

        self.wait(is_over, seconds)
        return self.ask(BACKFILL_STATUS, id=backfill)["partitionBackfillOrError"]

    def runs_of(self, backfill: str) -> list[str]:
        """The ids of the runs that a backfill has launched so far."""
        answer = self.ask(BACKFILL_STATUS, id=backfill)["partitionBackfillOrError"]
        return [run["runId"] for run in answer["runs"]]

    def partitions(self, asset: str) -> dict[str, list[str]]:
        """The customers of an asset by the state that the page shows: ``materialized``, ``failed`` …"""
        statuses = self.ask(PARTITIONS, key={"path": asset.split("/")})["assetNodeOrError"]["assetPartitionStatuses"]
        return {state.removesuffix("Partitions"): sorted(names) for state, names in statuses.items()}

    def failures(self, run: str) -> dict[str, str]:
        """The failed steps of a run with what the page says about them."""
        steps: list[dict[str, Any]] = []
        after, has_more = None, True
        while has_more:
            page = self.ask(FAILURES, id=run, after=after)["runOrError"]["eventConnection"]
            steps += [event for event in page["events"] if event]
            after, has_more = page["cursor"], page["hasMore"]
        return {
            step["stepKey"]: (step["failureMetadata"] or {}).get("description") or step["error"]["message"]
            for step in steps
        }

    def wait(self, look: Callable[[], Any], seconds: float) -> Any:
        """What ``look`` gives as soon as it gives something."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            answer = look()
            if answer:
                return answer
            time.sleep(0.5)
        raise AssertionError(f"nothing came within {seconds:.0f} s:\n{self.log.read_text()[-5000:]}")


def environment(**more: str) -> dict[str, str]:
    """The variables of a process of its own: none that point at another home."""
    ours = (*STATE, "CAPFLOW_POSTGRES_URL", "CAPFLOW_ENGINE")
    return {name: value for name, value in os.environ.items() if name not in ours} | more


@dataclass(frozen=True)
class Page:
    """`capflow ui` as a process, and what it printed."""

    process: subprocess.Popen[bytes]
    server: Server

    def wait_until_ready(self) -> None:
        """Return once it says that the page answers."""

        def ready() -> bool:
            assert self.process.poll() is None, self.server.log.read_text()[-5000:]
            return f"{self.server.url} on" in self.server.log.read_text()

        self.server.wait(ready, 120)

    def processes(self) -> dict[int, str]:
        """All that it started and that is still there, with their command lines."""
        import psutil

        commands = {}
        for process in psutil.process_iter(["cmdline", "environ", "status"]):
            variables = process.info["environ"] or {}
            ours = variables.get("CAPFLOW_HOME") == str(self.server.home) and "PYTHONSAFEPATH" in variables
            if ours and process.info["status"] != psutil.STATUS_ZOMBIE:
                commands[process.pid] = " ".join(process.info["cmdline"] or ())
        return commands

    def process_of(self, part: str) -> int:
        """The process whose command line has a part, as soon as there is one."""
        return self.server.wait(
            lambda: next((pid for pid, line in self.processes().items() if part in line), None), 120
        )


@contextmanager
def page(home: Path, *options: str, port: int | None = None, cwd: Path | None = None) -> Iterator[Page]:
    """`capflow ui` on a home, started; at the end of the block it is no more."""
    port = port or free_port()
    home.mkdir(exist_ok=True)
    log = home / f"ui-{port}.log"
    command = [sys.executable, "-P", "-m", "capflow_assets", "ui", "--home", str(home), "--port", str(port), *options]
    with log.open("w") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=sink, start_new_session=True, env=environment(**QUICK), cwd=cwd
        )
    try:
        yield Page(process, Server(f"http://127.0.0.1:{port}", home, log))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        process.kill()
        process.wait()


@contextmanager
def serving(home: Path, *options: str) -> Iterator[Server]:
    """`capflow ui` on a home and its page, until the end of the block."""
    with page(home, *options) as started:
        started.server.wait(lambda: _alive(started.server.url), 120)
        yield started.server


def _alive(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False
