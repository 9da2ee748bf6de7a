"""All feature blocks of the grocer: the embedded engine against the same code on Spark's JVM, two cores each.

Both read the same clean tables from Parquet files and write every block to Parquet files. Blocks take turns between the
engines, so that what else the machine does falls on both. "With the start" is the session's start and a first pass.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MEMORY = "6g"
DEMANDED = 5.0


def run() -> None:
    """Print the seconds of each block on both engines, and the two ratios for all of them."""
    from capflow_assets_doubles.real_customers import blocks_of, demo_customer, prepare

    customer = demo_customer("grocer")
    blocks = list(blocks_of(customer))
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        began = time.perf_counter()
        sail = _sail()
        starts = {"sail": time.perf_counter() - began}
        prepare(sail, customer, folder / "grocer")
        began = time.perf_counter()
        engines = {"sail": sail, "jvm": stack.enter_context(_jvm(folder))}
        starts["jvm"] = time.perf_counter() - began
        first = _pass(engines, folder, blocks, "first")
        _print("all, with the start", {name: starts[name] + _all(first, name) for name in engines})
        steady = _pass(engines, folder, blocks, "steady")
        _print("all, steady", {name: _all(steady, name) for name in engines})


def _pass(engines: dict[str, SparkSession], folder: Path, blocks: list[str], which: str) -> dict[str, dict[str, float]]:
    taken = {}
    for key in blocks:
        taken[key] = {name: _seconds(engine, name, folder, key) for name, engine in engines.items()}
        _print(f"{key}, {which}", taken[key])
    return taken


def _all(seconds: dict[str, dict[str, float]], name: str) -> float:
    return sum(timings[name] for timings in seconds.values())


def _print(what: str, seconds: dict[str, float]) -> None:
    sail, jvm = seconds["sail"], seconds["jvm"]
    print(  # noqa: T201
        f"features: {what}: Sail {sail:.2f} s, JVM Spark {jvm:.2f} s, {jvm / sail:.1f} x (demanded {DEMANDED:.0f} x)",
        flush=True,
    )


def _seconds(engine: SparkSession, name: str, folder: Path, key: str) -> float:
    from datetime import UTC, datetime

    from capflow_assets.blueprint.calls import call
    from capflow_assets_doubles.real_customers import blocks_of, demo_customer, inputs, values

    customer = demo_customer("grocer")
    spec = blocks_of(customer)[key]
    moment = datetime(2018, 1, 1, 4, 59, 59, 999999, tzinfo=UTC)
    began = time.perf_counter()
    frames = inputs(engine, folder / "grocer", spec, _absent(customer), folder / "made" / name)
    table = call(spec, frames, values(customer, moment))
    table.write.mode("overwrite").parquet(str(folder / "made" / name / key))
    return time.perf_counter() - began


def _absent(customer: Any) -> dict[str, str]:
    from capflow_assets.definitions import STAGES

    return STAGES.absent(customer.tables)


def _sail() -> SparkSession:
    from capflow_assets.graph.engine import Engine

    return Engine().spark_session


def _jvm(folder: Path) -> Any:
    from capflow_assets_doubles.engines import jvm_session

    place = folder / "jvm"
    place.mkdir()
    return jvm_session(place, MEMORY)
