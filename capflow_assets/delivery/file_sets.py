"""Deliveries as sets of files in a folder or under an ``s3://`` prefix: parts of fixed names, and a manifest last.

    {location}/{customer}/{model}/{as-of}-{id}/part-00000.parquet … manifest.json

A reader takes folders with a manifest alone: it names every part with its rows, bytes and SHA-256. A part is written
whole or not at all. A delivery that was killed is written again under the same names, without what it no longer has.
The manifest is put only where there is none (``If-None-Match: *``), so that two senders cannot both be right.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.errors import DeliveryError
from capflow_assets.transfer.file_places import S3, FilePlace, Login, place_of

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.json"
STAMP = "%Y%m%dT%H%M%S%fZ"
ID_CHARACTERS = 16
OURS = re.compile(r"(part-\d+\.[a-z]+|manifest\.json)((\.[0-9a-f]{8})?\.part)?")


def _absolute(location: str) -> str:
    if not (location.startswith(S3) or PurePath(location).is_absolute()):
        raise ValueError("an absolute folder, or s3://bucket/prefix")
    return location


class SetOptions(BaseModel, ABC):
    """What is said of a set of files wherever it lies."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    rows_per_file: int = Field(
        default=250_000, ge=1, le=5_000_000, description="Rows of a part; the last one has the rest."
    )

    @abstractmethod
    def opened(self) -> FilePlace:
        """The place that the files go to."""


class FileOptions(SetOptions):
    """Where the files go."""

    location: Annotated[str, AfterValidator(_absolute)] = Field(
        min_length=1, description="An absolute folder, or s3://bucket/prefix."
    )
    login: Login = Field(default=Login(), description="For s3://: whose bucket it is; else the process's own AWS_*.")

    def opened(self) -> FilePlace:
        """The folder or the prefix."""
        return place_of(self.location, self.login)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a delivery."""

    name: str
    rows: int
    bytes: int
    sha256: str


# Rows of one part as the bytes of its file.
Encode = Callable[["pa.Table"], bytes]


def held(options: SetOptions, delivery: Delivery) -> Held | None:
    """What the manifest says, where every part that it names is there in its size."""
    with options.opened() as place:
        parts = _whole_parts(place, _folder(delivery))
    return None if parts is None else Held(delivery.id, sum(part.rows for part in parts), _checksum(parts))


def newest(options: SetOptions, delivery: Delivery) -> datetime | None:
    """The newest as-of of a folder with a manifest; folders of other names are somebody else's."""
    with options.opened() as place:
        names = place.names(_of_model(delivery))
    stamps = []
    for folder in (name.rpartition("/")[0].rpartition("/")[2] for name in names if name.endswith(f"/{MANIFEST}")):
        with suppress(ValueError):
            stamps.append(datetime.strptime(folder.partition("-")[0], STAMP).replace(tzinfo=UTC))
    return max(stamps, default=None)


def send(options: SetOptions, delivery: Delivery, batches: Iterable[pa.RecordBatch], end: str, encode: Encode) -> Sent:
    """Write the parts, called ``part-00000.{end}``, take away what an earlier try left, and put the manifest."""
    folder = _folder(delivery)
    with options.opened() as place:
        parts = _whole_parts(place, folder)
        if parts is None:
            place.remove(f"{folder}/{MANIFEST}")
            parts = list(_written(place, folder, batches, options.rows_per_file, end, encode))
            kept = {f"{folder}/{MANIFEST}", *(f"{folder}/{part.name}" for part in parts)}
            for name in _ours(place, folder) - kept:
                place.remove(name)
            _put_manifest(place, folder, delivery, parts)
    return Sent(sum(part.rows for part in parts), sum(part.bytes for part in parts), _checksum(parts))


def withdraw(options: SetOptions, delivery: Delivery) -> Withdrawn:
    """The manifest goes first, then the parts: nobody reads half a delivery. What readers have put there stays."""
    folder = _folder(delivery)
    with options.opened() as place:
        parts = _parts(place, folder) or []
        place.remove(f"{folder}/{MANIFEST}")
        for name in _ours(place, folder):
            place.remove(name)
        if not place.names(folder):
            place.remove_folder(folder)
    return Withdrawn(sum(part.rows for part in parts))


def _of_model(delivery: Delivery) -> str:
    return f"{delivery.customer}/{delivery.model}"


def _folder(delivery: Delivery) -> str:
    stamp = delivery.as_of.astimezone(UTC).strftime(STAMP)
    return f"{_of_model(delivery)}/{stamp}-{delivery.id[:ID_CHARACTERS]}"


def _ours(place: FilePlace, folder: str) -> set[str]:
    """The files of a folder that are called as ours are, finished or not."""
    return {name for name in place.names(folder) if OURS.fullmatch(name.removeprefix(f"{folder}/"))}


def _tables(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """The rows in tables of ``most`` rows, however many stand in a batch."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        start = 0
        while count + batch.num_rows - start >= most:
            take = most - count
            yield pa.Table.from_batches([*waiting, batch.slice(start, take)])
            waiting, count, start = [], 0, start + take
        if start < batch.num_rows:
            waiting.append(batch.slice(start))
            count += batch.num_rows - start
    if waiting:
        yield pa.Table.from_batches(waiting)


def _written(
    place: FilePlace, folder: str, batches: Iterable[pa.RecordBatch], most: int, end: str, encode: Encode
) -> Iterator[Part]:
    """Each part as it was written. While one is on its way the next is made, so two are in memory at most."""
    with ThreadPoolExecutor(1) as writer:
        on_its_way: Future[None] | None = None
        for number, table in enumerate(_tables(batches, most)):
            name, content = f"part-{number:05d}.{end}", encode(table)
            if on_its_way is not None:
                on_its_way.result()
            # With what holds here for whom it may write.
            on_its_way = writer.submit(copy_context().run, place.write, f"{folder}/{name}", content)
            yield Part(name, table.num_rows, len(content), hashlib.sha256(content).hexdigest())
        if on_its_way is not None:
            on_its_way.result()


def _put_manifest(place: FilePlace, folder: str, delivery: Delivery, parts: list[Part]) -> None:
    said: dict[str, Any] = {
        "id": delivery.id,
        "customer": delivery.customer,
        "model": delivery.model,
        "version": delivery.version,
        "as_of": delivery.as_of.isoformat(),
        "valid_until": delivery.valid_until.isoformat(),
        "columns": [asdict(column) for column in delivery.columns],
        "key": list(delivery.key),
        "rows": sum(part.rows for part in parts),
        "parts": [asdict(part) for part in parts],
    }
    content = json.dumps(said, indent=1).encode()
    if not place.write_new(f"{folder}/{MANIFEST}", content) and place.read(f"{folder}/{MANIFEST}") != content:
        raise DeliveryError(
            "Another sender has finished this delivery with other rows",
            where=place.shown(f"{folder}/{MANIFEST}"),
            do="see what else sends this customer's predictions there",
        )


def _parts(place: FilePlace, folder: str) -> list[Part] | None:
    """What the manifest names; None where there is none, or none that can be read."""
    content = place.read(f"{folder}/{MANIFEST}")
    try:
        return None if content is None else [Part(**part) for part in json.loads(content)["parts"]]
    except (ValueError, KeyError, TypeError):
        return None


def _whole_parts(place: FilePlace, folder: str) -> list[Part] | None:
    parts = _parts(place, folder)
    sizes = place.names(folder) if parts is not None else {}
    is_whole = parts is not None and all(sizes.get(f"{folder}/{part.name}") == part.bytes for part in parts)
    return parts if is_whole else None


def _checksum(parts: list[Part]) -> str:
    """The SHA-256 of the parts' own, in order."""
    return hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest()
