"""All feature blocks of the grocer at 1, 10 and 41 times its rows: seconds and memory for each line item.

The copies have users and bills of their own and the same items. Every file has a stretch of time of all the copies, as
in a lake to which bills come day by day. Each size has a process of its own, the engine in it, which writes the blocks
one after the other to Parquet files. A block that takes too much memory or time is ended and told as failed, and a new
process goes on with the next. The block ``text`` is left out: it reads items only, and their number is the same.

Processor seconds are told beside wall seconds, since they depend less on what else the machine does. The smallest size
is run several times over, and the median told. The figures are kept in growth.json and drawn in growth.png.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SIZES = (1, 10, 41)
ROUNDS = {1: 3}
LEFT_OUT = ("features/text",)
GROWTH_DEMANDED = 1.2
GIB = 1 << 20  # in KiB, as the kernel tells memory
GIB_DEMANDED = 12
GIB_AT_MOST = 14
SECONDS_AT_MOST = 1800.0
SLICES = 12
ROWS_TO_SLICE = 100_000
FIGURES = Path(__file__).with_suffix(".json")
PICTURE = Path(__file__).with_suffix(".png")
PREPARED = """
import os, sys
from pathlib import Path
from capflow_assets.graph.engine import Engine
from capflow_assets_doubles.real_customers import demo_customer, prepare
prepare(Engine().spark_session, demo_customer("grocer"), Path(sys.argv[1]))
os._exit(0)
"""
MEASURED = """
import sys
from pathlib import Path
from bench.growth import measure
measure(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
"""
Figures = dict[str, Any]


def run(sizes: Sequence[int] = SIZES) -> None:
    """Print the figures of each block, of all and of the worst for each size, and how they grow; keep and draw them."""
    kept: Figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    with tempfile.TemporaryDirectory(prefix="capflow-growth-") as place:
        base = Path(place, "base")
        prepare_apart(base)
        for times in sizes:
            with tempfile.TemporaryDirectory(prefix="capflow-growth-") as folder:
                lines = replicate(base, Path(folder), times)
                blocks = measured(Path(folder), ROUNDS.get(times, 1))
            kept[str(times)] = {"lines": lines, "load": round(os.getloadavg()[0], 1), "blocks": blocks}
            tell(lines, blocks)
            FIGURES.write_text(json.dumps(dict(sorted(kept.items(), key=lambda entry: int(entry[0]))), indent=1) + "\n")
    if {str(times) for times in SIZES} <= kept.keys():
        tell_growth(kept[str(SIZES[0])], kept[str(SIZES[-1])])
    if len(kept) > 1:
        draw(kept)


def prepare_apart(folder: Path) -> None:
    """Land and clean the grocer's tables in a process of its own, so that no engine has started in this one."""
    subprocess.run([sys.executable, "-c", PREPARED, str(folder)], check=True)  # noqa: S603


def replicate(base: Path, folder: Path, times: int) -> int:
    """Write so many copies of all that the blocks read; the number of line items."""
    import pyarrow.parquet as pq

    tables = {
        parent.table for spec in _blocks().values() for parent in spec.inputs if not parent.table.startswith("feat")
    }
    for key in tables:
        if (base / key).exists():
            table = pq.read_table(base / key)
            (folder / key).mkdir(parents=True)
            _write_copies(table, folder / key, times if "user_id" in table.column_names else 1)
    return sum(pq.read_metadata(file).num_rows for file in (folder / "clean" / "line_items").iterdir())


def _write_copies(table: pa.Table, folder: Path, times: int) -> None:
    import pyarrow.parquet as pq

    slices = SLICES if table.num_rows > ROWS_TO_SLICE else 1
    if slices > 1 and "billed_at" in table.column_names:
        table = table.sort_by("billed_at")
    for number in range(slices):
        begin, end = (table.num_rows * place // slices for place in (number, number + 1))
        part = table.slice(begin, end - begin)
        with pq.ParquetWriter(folder / f"part-{number}.parquet", table.schema, compression="zstd") as writer:
            for copy in range(times):
                writer.write_table(_renamed(part, copy))


def _renamed(part: pa.Table, copy: int) -> pa.Table:
    import pyarrow.compute as pc

    for name in {"user_id", "bill_id"} & set(part.column_names) if copy else ():
        place = part.schema.get_field_index(name)
        new = pc.binary_join_element_wise(part[name], f"-{copy}", "")
        part = part.set_column(place, part.schema.field(place), new.cast(part.schema.field(place).type))
    return part


def _blocks() -> Mapping[str, Any]:
    from capflow_assets_doubles.real_customers import blocks_of, demo_customer

    return {key: spec for key, spec in blocks_of(demo_customer("grocer")).items() if key not in LEFT_OUT}


def measured(folder: Path, rounds: int, seconds: float = SECONDS_AT_MOST) -> Figures:
    """The figures of each block, or why it failed."""
    by_block: Figures = {}
    blocks = _blocks()
    while left := [key for key in blocks if key not in by_block]:
        said, why = _process(folder, rounds, left, seconds)
        by_block |= said
        stopped = next((key for key in left if key not in said), None)
        if stopped:
            by_block[stopped] = {"failed": why}
        failed = {key for key, figures in by_block.items() if "failed" in figures}
        for key in left:
            if key not in by_block and failed & {parent.table for parent in blocks[key].inputs}:
                by_block[key] = {"failed": "what it is made of failed"}
    return {key.removeprefix("features/"): by_block[key] for key in blocks}


def _process(folder: Path, rounds: int, keys: Sequence[str], seconds: float) -> tuple[Figures, str]:
    """The figures of the blocks that a new process reported, and why it ended."""
    command = [sys.executable, "-c", MEASURED, str(folder), str(rounds), *keys]
    with (folder / "errors").open("w+") as errors:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603
        why: list[str] = []
        watch = threading.Thread(target=_watch, args=(child, seconds, why))
        watch.start()
        assert child.stdout is not None  # noqa: S101
        said = dict(json.loads(line) for line in child.stdout)
        status = child.wait()
        watch.join()
        errors.seek(0)
        last = (errors.read().strip().splitlines() or [""])[-1]
    return said, why[0] if why else f"ended with {status}: {last[:200]}"


def _watch(child: subprocess.Popen[str], seconds: float, why: list[str]) -> None:
    """End the process when it takes too much."""
    ends = time.monotonic() + seconds
    while child.poll() is None:
        taken = _memory("VmRSS", str(child.pid)) / GIB
        if taken > GIB_AT_MOST:
            why.append(f"took more than {GIB_AT_MOST} GiB")
        elif time.monotonic() > ends:
            why.append(f"the process took more than {seconds:.0f} s")
        if why:
            child.kill()
            return
        time.sleep(0.1)


def _memory(name: str, process: str = "self") -> int:
    """KiB of a process according to the kernel; 0 where it has gone."""
    try:
        said = Path("/proc", process, "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in said.splitlines() if line.startswith(f"{name}:")), 0)


def measure(folder: Path, rounds: int, keys: Sequence[str]) -> None:
    """Compute the blocks in this process, and print a line of figures as soon as each is written."""
    from capflow_assets.graph.engine import Engine

    try:
        spark = Engine().spark_session
        spark.range(1).count()
        for key in keys:
            # The kernel's highest mark of this process begins anew, so that each block has its own.
            Path("/proc/self/clear_refs").write_text("5")
            pairs = [_seconds(spark, folder, key) for _ in range(rounds)]
            wall, processor = (median(pair[place] for pair in pairs) for place in (0, 1))
            figures = {"seconds": wall, "processor_seconds": processor, "peak_gib": _memory("VmHWM") / GIB}
            print(json.dumps((key, {name: round(value, 3) for name, value in figures.items()})), flush=True)  # noqa: T201
    except BaseException as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)
    os._exit(0)


def _seconds(spark: Any, folder: Path, key: str) -> tuple[float, float]:
    from datetime import UTC, datetime

    from capflow_assets.definitions import STAGES
    from capflow_assets.tables.runner import call
    from capflow_assets_doubles.real_customers import blocks_of, demo_customer, inputs, values

    customer = demo_customer("grocer")
    spec, absent = blocks_of(customer)[key], STAGES.absent(customer.tables)
    moment = datetime(2018, 1, 1, 4, 59, 59, 999999, tzinfo=UTC)
    wall, processor = time.perf_counter(), time.process_time()
    table = call(spec, inputs(spark, folder, spec, absent, folder / "made"), values(customer, moment))
    table.write.mode("overwrite").parquet(str(folder / "made" / key))
    return time.perf_counter() - wall, time.process_time() - processor


def summed(size: Figures, names: Sequence[str]) -> dict[str, float]:
    """Seconds of the named blocks together, microseconds per line of wall and processor time, and the highest peak."""
    blocks = [size["blocks"][name] for name in names]
    wall, processor = (sum(block[what] for block in blocks) for what in ("seconds", "processor_seconds"))
    per_line = {"us": 1e6 * wall / size["lines"], "processor_us": 1e6 * processor / size["lines"]}
    return {"seconds": wall, **per_line, "peak_gib": max((block["peak_gib"] for block in blocks), default=0.0)}


def computed(size: Figures) -> list[str]:
    """The blocks that did not fail."""
    return [name for name, block in size["blocks"].items() if "failed" not in block]


def tell(lines: int, blocks: Figures) -> None:
    """Print a line for each block, for all and for the worst."""
    size = {"lines": lines, "blocks": blocks}
    there = computed(size)
    for name in blocks:
        words = _words(summed(size, [name])) if name in there else f"FAILED: {blocks[name]['failed']}"
        print(f"growth: {lines:,} lines: {name}: {words}")  # noqa: T201
    missing = f" (without {len(blocks) - len(there)} that failed)" if len(there) < len(blocks) else ""
    print(f"growth: {lines:,} lines: all{missing}: {_words(summed(size, there))}")  # noqa: T201
    slowest, largest = (max(there, key=lambda name: blocks[name][what]) for what in ("seconds", "peak_gib"))
    print(  # noqa: T201
        f"growth: {lines:,} lines: worst: {slowest} {blocks[slowest]['seconds']:.1f} s, "
        f"{largest} {blocks[largest]['peak_gib']:.2f} GiB"
    )


def _words(figures: Mapping[str, float]) -> str:
    return (
        f"{figures['seconds']:.2f} s, {figures['us']:.3f} us per line (processor {figures['processor_us']:.3f}), "
        f"peak {figures['peak_gib']:.2f} GiB"
    )


def tell_growth(small: Figures, large: Figures) -> None:
    """Print how the time per line grew over the blocks that both sizes have, and the peak of the larger."""
    there = [name for name in computed(large) if name in computed(small)]
    first, last = summed(small, there), summed(large, there)
    grown = {name: summed(large, [name])["us"] / summed(small, [name])["us"] for name in there}
    worst = max(grown, key=lambda name: grown[name])
    print(  # noqa: T201
        f"growth: time per line from {small['lines']:,} to {large['lines']:,} lines, {len(there)} of "
        f"{len(large['blocks'])} blocks: {last['us'] / first['us']:.2f} x (processor "
        f"{last['processor_us'] / first['processor_us']:.2f} x; demanded at most {GROWTH_DEMANDED} x), worst {worst} "
        f"{grown[worst]:.2f} x; peak {last['peak_gib']:.2f} GiB (demanded under {GIB_DEMANDED})"
    )


def draw(kept: Figures) -> None:
    """Draw time per line and peak memory against lines: all blocks together, the most expensive by name, the others."""
    from matplotlib.figure import Figure

    sizes = list(kept.values())
    there = [name for name in computed(sizes[0]) if all(name in computed(size) for size in sizes)]
    costly = sorted(there, key=lambda name: -summed(sizes[-1], [name])["processor_us"])[:5]
    titles = {"us": "Wall time", "processor_us": "Processor time", "peak_gib": "Peak memory, the engine's with it"}
    figure = Figure(figsize=(13, 5), layout="constrained")
    lines = [size["lines"] for size in sizes]
    for axis, (what, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for name in sorted(there, key=costly.__contains__):
            style = {"label": name} if name in costly else {"color": "0.8", "linewidth": 1}
            axis.plot(lines, [summed(size, [name])[what] for size in sizes], "o-", **style)
        every = [summed(size, there)[what] for size in sizes]
        axis.plot(lines, every, "o-k", linewidth=2.5, zorder=1.5, label=f"all {len(there)} blocks")
        axis.set(xscale="log", yscale="log", xlabel="line items", title=title)
        axis.set_ylabel("GiB" if what == "peak_gib" else "microseconds per line item")
        axis.set_xticks(lines, [f"{count / 1e6:.1f} M" for count in lines])
        axis.set_xticks([], minor=True)
        axis.grid(alpha=0.3)
    axis.axhline(GIB_DEMANDED, color="tab:red", linestyle="--", label=f"{GIB_DEMANDED} GiB")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=8, fontsize=9)
    figure.savefig(PICTURE, dpi=100)
