"""A world on disk: the customer's files in the customer's own shape, its TOML, and, elsewhere, the truth."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from capflow_assets.errors import CapflowError
from capflow_assets.simulation import dirt
from capflow_assets.simulation.media_files import write_media
from capflow_assets.simulation.shape import Shape
from capflow_assets.simulation.world import World

TRUTH_MARK = "truth.json"
MONTHLY = ("bills", "line_items")


def write(
    world: World,
    folder: Path,
    shape: Shape | None = None,
    upto: datetime | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write the customer's files into ``folder`` and ``{name}.toml`` next to them; the path of that TOML.

    What an earlier call wrote there is replaced, so that calling again with a later ``upto`` lands more.

    Args:
        world: what to write; tables that the world does not have, or that the brand does not send, are left out.
        folder: the customer's own; made if it is not there.
        shape: how to write; the brand's own shape by default.
        upto: an aware moment; rows that are not known by then are left out. Everything by default.
        settings: more keys of the TOML, such as ``{"models": {"purchase_propensity": {"horizon_days": 30}}}``.

    Raises:
        CapflowError: ``upto`` has no zone, the shape cannot hold the brand's wrong types, or the truth is here.
    """
    folder, shape = Path(folder), shape or world.brand.shape
    _check(world, folder, shape, upto)
    folder.mkdir(parents=True, exist_ok=True)
    sent = dirt.sent(world.tables, world.dirt, world.brand, upto)
    tables = {}
    for name in world.brand.sends:
        if len(world.tables.get(name, ())):
            location = _write_table(world, folder, shape, name, sent[name])
            tables[name] = _declared(shape, name, location, list(sent[name].columns))
    if media := write_media(world, folder, upto):
        tables["media"] = media
    return _write_toml(world, folder, tables, settings or {})


def write_truth(world: World, folder: Path) -> Path:
    """Write the truth, the plan of the dirt and the brand into ``folder``, which is not the customer's; its path.

    Raises:
        CapflowError: the folder is the customer's, or inside it.
    """
    folder = Path(folder)
    for parent in (folder, *folder.resolve().parents):
        if (parent / f"{world.brand.name}.toml").exists():
            raise _mixed(folder, f"the customer's {world.brand.name}.toml is in {parent}")
    folder.mkdir(parents=True, exist_ok=True)
    truth = world.truth
    clock = pd.DataFrame({"local_minutes": truth.clock.minutes, "weeks": truth.clock.weeks})
    frames = {"users": truth.users, "affinities": truth.affinities, "effects": truth.effects}
    frames |= {"future_bills": truth.future_bills, "clock": clock, "dirt": world.dirt}
    frames |= {"launches": truth.launches, "styles": truth.styles} if world.brand.launches else {}
    frames |= {"reviews": truth.reviews} if world.brand.reviews else {}
    frames |= {"readers": truth.readers} if len(truth.readers) else {}
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    (folder / TRUTH_MARK).write_text(world.brand.model_dump_json(indent=2), encoding="utf-8")
    return folder


def _check(world: World, folder: Path, shape: Shape, upto: datetime | None) -> None:
    if upto is not None and upto.tzinfo is None:
        raise CapflowError("The moment to write up to has no zone", expected="an aware datetime", came=str(upto))
    if world.brand.wrong_types and shape.source != "csv":
        raise CapflowError(
            "Wrong types need files that hold text", expected="a CSV shape", came=shape.source, where=str(folder)
        )
    for relative in (folder, *folder.resolve().parents, *folder.glob("*/")):
        if (relative / TRUTH_MARK).exists():
            raise _mixed(folder, f"the truth is in {relative}")


def _mixed(folder: Path, received: str) -> CapflowError:
    return CapflowError(
        "The truth and the customer's files would share a folder",
        expected="two folders, neither inside the other",
        came=received,
        where=str(folder),
        do="write the truth to a folder of its own",
    )


def _write_table(world: World, folder: Path, shape: Shape, name: str, frame: pd.DataFrame) -> str:
    names = {column: shape.name(name, column) for column in frame.columns}
    if shape.source == "csv":
        text = _as_text(frame, shape, world.brand.time_zone)
        if name == "bills":
            text = dirt.spoilt(text, world.dirt)
        text.rename(columns=names).to_csv(
            folder / f"{name}.csv", sep=shape.delimiter, header=shape.header, encoding=shape.encoding, index=False
        )
        return f"{name}.csv"
    if name in MONTHLY:
        return _write_months(folder / name, frame["billed_at"], frame.rename(columns=names))
    frame.rename(columns=names).to_parquet(folder / f"{name}.parquet", index=False)
    return f"{name}.parquet"


def _write_months(folder: Path, billed_at: pd.Series, frame: pd.DataFrame) -> str:
    """One Parquet file per month, all of one schema; months of an earlier call that are gone are deleted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.parquet"):
        old.unlink()
    whole = pa.Table.from_pandas(frame, preserve_index=False)
    months = billed_at.dt.strftime("%Y-%m").to_numpy()
    for month in np.unique(months) if len(months) else ["empty"]:
        pq.write_table(whole.filter(pa.array(months == month)), folder / f"{month}.parquet")
    return folder.name


def _as_text(frame: pd.DataFrame, shape: Shape, zone: str) -> pd.DataFrame:
    text = frame.copy()
    for column, kind in frame.dtypes.items():
        if isinstance(kind, pd.DatetimeTZDtype):
            text[column] = _local_text(frame[column], shape, zone)
        elif pd.api.types.is_bool_dtype(kind):
            text[column] = np.where(frame[column], shape.true, shape.false)
    return text


def _local_text(moments: pd.Series, shape: Shape, zone: str) -> pd.Series:
    """Each different minute is written out once: formatting is what costs."""
    codes, different = pd.factorize(moments)
    words = [*pd.DatetimeIndex(different).tz_convert(zone).strftime(shape.strftime), None]
    return pd.Series(np.array(words, dtype=object)[codes], index=moments.index)


def _declared(shape: Shape, name: str, location: str, columns: list[str]) -> dict[str, Any]:
    options = shape.options([shape.name(name, column) for column in columns])
    return {
        "source": shape.source,
        "location": location,
        **({"options": options} if options else {}),
        # A bill has one row per item there; whatever is equal was sent twice.
        **({"equal_lines": "drop"} if name == "line_items" else {}),
        "columns": {column: shape.mapping(name, column) for column in columns},
    }


def _write_toml(world: World, folder: Path, tables: dict[str, Any], settings: Mapping[str, Any]) -> Path:
    import tomlkit

    brand = world.brand
    head = {"name": brand.name, "vertical": brand.vertical, "currency": brand.currency, "time_zone": brand.time_zone}
    # Its days are over, and no others will come.
    ended = {"archive": True}
    path = folder / f"{brand.name}.toml"
    path.write_text(tomlkit.dumps({**head, **ended, "tables": tables, **settings}), encoding="utf-8")
    return path
