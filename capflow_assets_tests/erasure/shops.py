"""Shops that forget a user or are retired, and what is inspected afterwards."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import deployment
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.suppression import SUPPRESSION
from capflow_assets_doubles.homes import FEW_FEATURES, TestHome, own_environment

USER = "o'Né\"il-77ü"
SHARED = "B-shared"
BROKEN = "B-broken"
SENDS = ("bills", "line_items", "users", "items")
SELECT = "raw,clean,validation,features,*/rfm_segments"
# What is enough where it does not matter how many tables there are.
FEW = "raw,clean,features/rfm,*/rfm_segments"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A home in which a user was forgotten, and what the command printed."""

    home: TestHome
    said: str


def files_of(folder: Path, name: str, extra: bool = False) -> Path:
    """A shop in which one user has an awkward id, a bill that cannot land, and one that stands on somebody else too.

    Line items say nothing of users. With ``extra`` one more bill has come.
    """
    toml = write(simulate(tiny(name, seed=6, users=200, days=400, sends=SENDS)), folder, settings=FEW_FEATURES)
    bills = pd.read_csv(folder / "bills.csv", dtype=str)
    lines = pd.read_csv(folder / "line_items.csv", dtype=str)
    users = pd.read_csv(folder / "users.csv", dtype=str)
    chosen = bills["user_id"].value_counts().index[0]
    for frame in (bills, users):
        frame["user_id"] = frame["user_id"].replace({chosen: USER})
    first = bills[bills["user_id"] == USER].iloc[[0]]
    more = [
        first.assign(bill_id=SHARED),
        first.assign(bill_id=SHARED, user_id="somebody", billed_at="2024-06-01 10:00:00"),
        first.assign(bill_id=BROKEN, amount="a lot"),
        first.assign(bill_id="B-padded", user_id=f" {USER} "),
        *([first.assign(bill_id="B-extra", user_id="somebody")] if extra else []),
    ]
    pd.concat([bills, *more]).to_csv(folder / "bills.csv", index=False)
    line = lines.iloc[[0]]
    added = [line.assign(bill_id=SHARED), line.assign(bill_id=BROKEN), line.assign(bill_id=BROKEN, amount="much")]
    pd.concat([lines, *added]).assign(user_id="").to_csv(folder / "line_items.csv", index=False)
    users.to_csv(folder / "users.csv", index=False)
    return toml


@contextlib.contextmanager
def opened(home: TestHome) -> Iterator[tuple[Deployment, dg.DagsterInstance]]:
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        yield deployment(STAGES, SOURCES, home=Home.of(home.root)), instance


def lake_of(home: TestHome) -> Lake:
    return Lake(str(home.root / "lake"), lambda: None)  # type: ignore[arg-type, return-value]


def rows_of(lake: Lake, customer: str) -> dict[str, Counter[str]]:
    return {
        table: Counter(json.dumps(row, default=str, sort_keys=True) for row in lake.arrow(customer, table).to_pylist())
        for table in lake.tables(customer)
        if table != SUPPRESSION
    }


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def contents(file: Path) -> Iterator[bytes]:
    """A file as it lies there, and unpacked where it is packed."""
    content = file.read_bytes()
    yield content
    if file.suffix == ".parquet":
        with pq.ParquetFile(file) as opened_file:
            yield "\n".join(texts(opened_file.read().to_pylist())).encode()
            yield "\n".join(texts(opened_file.metadata.to_dict())).encode()
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield archive.read(name)


def texts(value: Any) -> Iterator[str]:
    """All texts in rows, lists and fields, as they are."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str | bytes):
        yield value if isinstance(value, str) else value.decode(errors="replace")


def holding(folder: Path, text: str = USER) -> list[str]:
    """The files in which a text stands, however it is written."""
    as_json = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    forms = {text, text.replace("'", "''"), repr(text)[1:-1], *as_json, *(json.dumps(form)[1:-1] for form in as_json)}
    signs = {form.encode() for form in forms} | {text.encode("utf-32-le"), text.encode("utf-16-le")}
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return [str(file) for file in files if any(sign in content for content in contents(file) for sign in signs)]


def receipts(home: TestHome, customer: str = "shop") -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((home.root / "lake" / customer / "receipts").glob("*"))]
