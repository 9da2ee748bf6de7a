"""A draft tried: a sample of its files landed and cleaned in a folder that is gone afterwards, and what came of it.

Nothing is written into a home, no partition is added and no key is made; personal columns are hashed with a key that
nobody keeps.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Source
from capflow_assets.customers.customer import Customer, TableSource, parse_customer
from capflow_assets.landing.rejections import POSITION, REASON
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.runner import TableRunner

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STAGES_TRIED = ("raw", "clean")
LARGEST_WHOLE = 24 << 20
SAMPLE_BYTES = 8 << 20
SHOWN_ROWS, SHOWN_REASONS = 3, 5
SUMS = ("amount", "quantity", "discount")
TEXTS = ("csv", "json")


@dataclass
class TableTrial:
    """What came of one table: ``rejected`` rows by reason, the ``first`` rows, and ``sums`` of what can be summed."""

    key: str
    status: str
    reason: str = ""
    rows: int = 0
    left_out: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    first: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    period: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """A draft's tables as they would land, and what of the files was not looked at."""

    tables: list[TableTrial]
    notes: list[str]


def tried(
    text: str, base: Path, stages: Stages, sources: Mapping[str, Source], spark: Callable[[], SparkSession]
) -> Trial:
    """Land and clean a sample of what a TOML names: whole files up to 24 MB, the head of larger ones.

    Raises:
        CustomerError: the TOML is wrong; names every problem.
    """
    tables = {spec.name: spec.table for spec in stages.tables.values() if spec.stage == "raw"}
    params = {name: spec.model.params for name, spec in stages.models.items()}
    customer = parse_customer(text, "the draft", tables, sources, known_params=params)
    customer = customer if customer.base else customer.model_copy(update={"base": str(base.resolve())})
    with _folder() as folder:
        notes: list[str] = []
        sampled = _sampled(customer, folder / "in", notes)
        lake = Lake(str(folder / "lake"), spark)
        keys = frozenset(spec.key for spec in stages.tables.values() if spec.stage in STAGES_TRIED)
        secret = secrets.token_bytes(32)
        runner = TableRunner(lake, stages, sources, sampled, keys, key=lambda: secret)
        results = [result for result in runner.run() if result.status != "absent"]
        return Trial([_of_table(lake, customer.name, result) for result in results], notes)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="capflow-draft-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _of_table(lake: Lake, customer: str, result: Any) -> TableTrial:
    trial = TableTrial(result.key, result.status, result.reason, result.rows, result.counts.get("left_out", 0))
    aside = f"{result.key}_rejected"
    if lake.exists(customer, aside):
        rows = lake.arrow(customer, aside).select([REASON, POSITION]).to_pylist()
        trial.rejected = dict(Counter(row[REASON] for row in rows).most_common(SHOWN_REASONS))
    if result.status == "done":
        arrow = lake.arrow(customer, result.key)
        filled = [name for name in arrow.column_names if arrow[name].null_count < len(arrow)]
        trial.first = arrow.select(filled).slice(0, SHOWN_ROWS).to_pylist()
        trial.sums = {name: _sum(arrow[name]) for name in SUMS if name in filled}
        trial.period = _period(arrow) if "billed_at" in filled else ""
    return trial


def _sum(column: Any) -> float:
    import pyarrow as pa
    import pyarrow.compute as pc

    # Exact, as money is: binary fractions would add up to something beside it.
    return float(pc.sum(pc.cast(pc.round(column, 4), pa.decimal128(38, 4))).as_py() or 0)


def _period(arrow: Any) -> str:
    import pyarrow.compute as pc

    ends = pc.min_max(arrow["billed_at"]).as_py()
    return f"{ends['min']:%Y-%m-%d} to {ends['max']:%Y-%m-%d}"


def _sampled(customer: Customer, folder: Path, notes: list[str]) -> Customer:
    """The customer with the heads of large files in the place of the files."""
    folder.mkdir()
    tables = {name: _head_of(customer, declared, folder, notes) for name, declared in customer.tables.items()}
    return customer.model_copy(update={"tables": tables})


def _head_of(customer: Customer, declared: TableSource, folder: Path, notes: list[str]) -> TableSource:
    if declared.inputs:
        inputs = {
            name: source.model_copy(
                update={"location": _head(customer.located(source.location), source.source, folder, notes)}
            )
            for name, source in declared.inputs.items()
        }
        return declared.model_copy(update={"inputs": inputs})
    location = _head(customer.located(declared.location), declared.source, folder, notes)
    return declared.model_copy(update={"location": location})


def _head(location: str, source: str, folder: Path, notes: list[str]) -> str:
    """A file as it is, or its head in a folder of ours where it is large text by lines."""
    path = Path(location)
    if source not in TEXTS or "://" in location or not path.is_file() or path.stat().st_size <= LARGEST_WHOLE:
        return location
    with path.open("rb") as file:
        content = file.read(SAMPLE_BYTES)
    if source == "json" and content.lstrip()[:1] == b"[":
        return location
    if not content.isascii() and b"\0" in content[:400]:
        return location  # UTF-16, whose lines are not found by bytes
    head = folder / path.name
    head.write_bytes(content[: content.rfind(b"\n") + 1])
    note = f"{path.name}: the first {SAMPLE_BYTES >> 20} MB of {path.stat().st_size >> 20:,}"
    notes += [note] if note not in notes else []
    return str(head)
