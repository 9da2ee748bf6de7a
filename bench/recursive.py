"""Recursive generation over all time: ours against featuretools, which made Deep Feature Synthesis known.

Both make the same features of the same users, bills, line items and items of the grocer, all of it. Ours is the whole
call, from Parquet files to Arrow: cold, with the start of the engine and, where nothing is kept from an earlier run,
some seconds of compiling, and warm, the median of several that follow. The peer's seconds are the median of several of
its synthesis and its calculation, in the one process that it takes by default; what its set of entities takes is told
beside them. That its rows lie in memory and that the transforms of a row are there as columns is not counted, and
neither are the features that it does not stack by itself (the deviation of deviations, the number of different foreign
keys) and the share of own brands, in which it counts an unknown one as false: ours makes them all the same. Prices of
items are unknown at this grocer, so what is made of them is empty on both sides. Processor seconds are told beside wall
seconds, since they depend less on what else the machine does.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

DEMANDED = 20.0
ROUNDS, PEER_ROUNDS = 7, 3
MOMENT = datetime(2018, 1, 1, 4, 59, 59, 999999, tzinfo=UTC)
ZONE = "America/New_York"
NOT_THE_SAME = "items_own_brand"
AGGREGATIONS = ("count", "sum", "mean", "std", "min", "max", "last", "percent_true", "num_unique")
ABSOLUTE, RELATIVE = 2e-6, 1e-9
TABLES = ("bills", "line_items", "items")
CATEGORIES = ("department", "category", "subcategory", "brand")
Rows = dict[str, "pd.DataFrame"]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Taken:
    """Wall and processor seconds, of all threads of this process."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s (processor {self.processor:.2f})"


def run() -> None:
    """Print the seconds of both, the ratios, how many values were compared and which features differ."""
    if find_spec("featuretools") is None:
        print("recursive: not run, for featuretools is not installed: pip install 'capflow-assets[bench]'")  # noqa: T201
        return
    from bench.growth import prepare_apart

    with tempfile.TemporaryDirectory(prefix="capflow-recursive-") as place:
        prepare_apart(Path(place))
        cold, features = timed(lambda: ours(Path(place)))
        warm, _ = median(lambda: ours(Path(place)), ROUNDS)
        frames = rows(Path(place))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        described, of = timed(lambda: entities(frames))
        peer, theirs = median(lambda: featuretools(of), PEER_ROUNDS)
    compared, differing = differences(features, theirs)
    sizes = ", ".join(f"{len(frames[name]):,} {name}" for name in ("users", *TABLES))
    print(  # noqa: T201
        f"recursive: {sizes}: ours {warm}, cold {cold}, {features.num_columns - 2} features; featuretools {peer}, "
        f"{theirs.shape[1]} of them, and {described} for its set of entities"
    )
    print(  # noqa: T201
        f"recursive: {peer.wall / warm.wall:.1f} x warm, {peer.wall / cold.wall:.1f} x cold (demanded {DEMANDED:.0f} "
        f"x), processor {peer.processor / warm.processor:.1f} x; with its set of entities "
        f"{(peer.wall + described.wall) / warm.wall:.1f} x warm"
    )
    print(f"recursive: {compared:,} values compared; features that differ: {', '.join(differing) or 'none'}")  # noqa: T201


def timed(work: Callable[[], Made]) -> tuple[Taken, Made]:
    """What the work gives, and what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return Taken(time.perf_counter() - wall, time.process_time() - processor), result


def median(work: Callable[[], Made], rounds: int) -> tuple[Taken, Made]:
    """The median of several rounds, by wall seconds."""
    return sorted((timed(work) for _ in range(rounds)), key=lambda pair: pair[0].wall)[rounds // 2]


def ours(folder: Path) -> pa.Table:
    """The whole call; the first one starts the engine."""
    from capflow_assets.features.recursive_candidates import Params, recursive_candidates
    from capflow_assets.graph.engine import Engine

    spark = Engine().spark_session
    bills, line_items, items = (spark.read.parquet(str(folder / "clean" / name)) for name in TABLES)
    chosen = Params.model_validate({"windows_days": ()})
    return recursive_candidates(bills, line_items, items, as_of=MOMENT, zone=ZONE, params=chosen).toArrow()


def rows(folder: Path) -> Rows:
    """The tables as frames, the transforms of a row as columns that are named as our slugs are."""
    import pandas as pd

    read = {name: pd.read_parquet(folder / "clean" / name) for name in TABLES}
    bills, lines = (read[name][read[name]["billed_at"] <= MOMENT].copy() for name in TABLES[:2])
    local = bills["billed_at"].dt.tz_convert(ZONE)
    bills["hour"], bills["weekday"] = local.dt.hour.astype(float), local.dt.weekday + 1.0
    bills["is_weekend"] = local.dt.weekday >= 5
    bills["billed_on"] = bills["billed_on"].astype(str)
    bills["billed_at"] = bills["billed_at"].dt.tz_convert(None)
    lines["line_id"] = range(len(lines))
    lines["unit_price"] = (lines["amount"] / lines["quantity"]).where(lines["quantity"] > 0)
    lines["is_discounted"] = lines["discount"] > 0
    for frame in (bills, lines):
        before = frame["amount"] + frame["discount"]
        is_told = (before > 0) & (frame["discount"] >= 0)
        frame["discount_share"] = (frame["discount"] / before).where(is_told)
    users = pd.DataFrame({"user_id": sorted(bills["user_id"].unique())})
    return {"users": users, "bills": bills, "line_items": lines, "items": read["items"]}


def entities(frames: Rows) -> Any:
    """featuretools' set of entities."""
    import featuretools as ft

    entity_set = ft.EntitySet("grocer")
    entity_set.add_dataframe(dataframe=frames["users"], dataframe_name="users", index="user_id")
    entity_set.add_dataframe(
        dataframe=frames["bills"].drop(columns=["line_items", "is_anonymous"]),
        dataframe_name="bills",
        index="bill_id",
        time_index="billed_at",
        logical_types={"billed_on": "Categorical", "hour": "Double", "weekday": "Double"},
    )
    columns = ["line_id", "bill_id", "item_id", "amount", "discount", "quantity", "is_return"]
    columns += ["unit_price", "discount_share", "is_discounted"]
    entity_set.add_dataframe(dataframe=frames["line_items"][columns], dataframe_name="line_items", index="line_id")
    entity_set.add_dataframe(
        dataframe=frames["items"][["item_id", *CATEGORIES, "own_brand", "price"]],
        dataframe_name="items",
        index="item_id",
        logical_types=dict.fromkeys(CATEGORIES, "Categorical") | {"own_brand": "BooleanNullable", "price": "Double"},
    )
    for parent, child, key in (
        ("users", "bills", "user_id"),
        ("bills", "line_items", "bill_id"),
        ("items", "line_items", "item_id"),
    ):
        entity_set.add_relationship(parent, key, child, key)
    return entity_set


def featuretools(of: Any) -> pd.DataFrame:
    """Its features, by our names."""
    import featuretools as ft

    from capflow_assets.synthesis.features import featuretools_name, synthesis

    wanted = synthesis(2, (), frozenset(("users", *TABLES)))
    names = {featuretools_name(feature): feature.column for feature in wanted if NOT_THE_SAME not in feature.column}
    all_there = ft.dfs(
        entityset=of,
        target_dataframe_name="users",
        agg_primitives=list(AGGREGATIONS),
        trans_primitives=[],
        max_depth=3,
        features_only=True,
    )
    matrix = ft.calculate_feature_matrix([feature for feature in all_there if feature.get_name() in names], of)
    # It takes numbers written as text for numbers.
    return matrix.rename(columns=names, index=str)


def differences(features: pa.Table, theirs: pd.DataFrame) -> tuple[int, list[str]]:
    """How many values were compared, and the features with one that is not the same."""
    import numpy as np

    frame = features.to_pandas().set_index("user_id")
    assert set(frame.index) == set(theirs.index), "the two do not know the same users"  # noqa: S101
    frame = frame.loc[theirs.index]
    differing = []
    for name in theirs.columns:
        a, b = (table[name].astype(float).to_numpy() for table in (frame, theirs))
        if not np.allclose(a, b, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
            differing.append(name)
    return theirs.size, differing
