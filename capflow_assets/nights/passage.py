"""The rows of a delivery as they pass the door: counted, and who passed and who did not is kept in files meanwhile.

Rows are never held whole: what is to be marked afterwards is written to files of its own, which go in the end.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any

from capflow_assets.contract import Delivery, Sent
from capflow_assets.nights.delivered_rows import USER, Selection, as_delivered
from capflow_assets.nights.door import Door

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

HELD_BACK, REFUSED, UNKNOWN = "held back", "refused", "unknown"
COLUMNS = ("delivery", "user_id", "key", "model", "destination", "outcome", "reason")


class Passage(AbstractContextManager["Passage"]):
    """One try of one delivery."""

    def __init__(self, delivery: Delivery, selection: Selection) -> None:
        self._delivery = delivery
        self._selection = selection
        # Of no name, so that nothing of users stays where this is killed.
        self._files: dict[str, IO[bytes]] = {}
        self._writers: dict[str, pq.ParquetWriter] = {}
        self.begin_again()

    def __exit__(self, *_: object) -> None:
        self._forget()

    def begin_again(self) -> None:
        """Forget all that has passed."""
        self._forget()
        self.scored, self.passed = 0, 0
        self.held_back_by: Counter[str] = Counter()

    def through(self, door: Door, batches: Iterator[pa.RecordBatch], only: pa.Array | None) -> Iterator[pa.RecordBatch]:
        """The rows that the door lets pass, as they are delivered; ``only`` those of some users, where it is given."""
        import pyarrow.compute as pc

        for batch in batches:
            chosen = batch if only is None else batch.filter(pc.is_in(batch.column(USER), value_set=only))
            reasons = door.reasons(chosen)
            goes = chosen.filter(pc.is_null(reasons))
            self.scored += chosen.num_rows
            self.passed += goes.num_rows
            if goes.num_rows < chosen.num_rows:
                self._keep_held_back(chosen.filter(pc.is_valid(reasons)), reasons.drop_null())
            if goes.num_rows:
                self._keep_carried(goes)
                yield as_delivered(goes, self._selection, self._delivery)

    def drain(self, rows: Iterator[pa.RecordBatch]) -> None:
        """Let the rest pass, which goes nowhere, to know how much that is."""
        for _ in rows:
            pass

    def held_back(self, sent: Sent, *, is_all_unknown: bool) -> Iterator[pa.RecordBatch]:
        """The rows that did not arrive, or of which that is not known, each with its reason."""
        import pyarrow as pa

        yield from self._kept("held_back")
        lost = [(refused.key, REFUSED, refused.reason) for refused in sent.refused]
        lost += [(key, UNKNOWN, "no answer came") for key in sent.unknown]
        if lost:
            yield pa.RecordBatch.from_pylist([self._row(*row) for row in lost], schema=_schema())
        for batch in self._kept("carried") if is_all_unknown else ():
            users = batch.column(USER).to_pylist()
            rows = [self._row((user,), UNKNOWN, "no answer came") | {USER: user} for user in users]
            yield pa.RecordBatch.from_pylist(rows, schema=_schema())

    def carried(self, sent: Sent) -> Iterator[pa.RecordBatch]:
        """The users who were delivered, those included of whom that is not known."""
        import pyarrow as pa
        import pyarrow.compute as pc

        # Where a user has several rows, one that is refused says nothing of the others.
        is_one_each = self._delivery.key == (self._delivery.user,)
        refused = pa.array([str(refused.key[0]) for refused in sent.refused if is_one_each], pa.string())
        for batch in self._kept("carried"):
            kept = batch.filter(pc.invert(pc.is_in(batch.column(USER), value_set=refused))) if len(refused) else batch
            if kept.num_rows:
                yield kept

    def _keep_held_back(self, batch: pa.RecordBatch, reasons: pa.Array) -> None:
        import pyarrow as pa

        self.held_back_by.update(reason.partition(":")[0] for reason in reasons.to_pylist())
        keys = zip(*(batch.column(name).to_pylist() for name in self._selection.key), strict=True)
        same = (self._delivery.id, self._delivery.model, self._delivery.destination, HELD_BACK)
        delivery, model, destination, outcome = (pa.repeat(text, batch.num_rows) for text in same)
        users = batch.column(USER) if USER in batch.schema.names else pa.nulls(batch.num_rows, pa.string())
        written = pa.array([_text(key) for key in keys], pa.string())
        arrays = [delivery, users.cast(pa.string()), written, model, destination, outcome, reasons]
        self._write("held_back", pa.RecordBatch.from_arrays(arrays, schema=_schema()))

    def _keep_carried(self, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        if USER not in batch.schema.names:
            return
        users = batch.column(USER).cast(pa.string()).unique()
        self._write("carried", pa.RecordBatch.from_pydict({
            "delivery": pa.repeat(self._delivery.id, len(users)), USER: users,
        }))  # fmt: skip

    def _row(self, key: tuple[Any, ...], outcome: str, reason: str) -> dict[str, Any]:
        delivery = self._delivery
        values = (delivery.id, self._user(key), _text(key), delivery.model, delivery.destination, outcome, reason)
        return dict(zip(COLUMNS, values, strict=True))

    def _user(self, key: tuple[Any, ...]) -> str | None:
        delivery = self._delivery
        return str(key[delivery.key.index(delivery.user)]) if delivery.user in delivery.key else None

    def _write(self, name: str, batch: pa.RecordBatch) -> None:
        import pyarrow.parquet as pq

        if name not in self._writers:
            self._files[name] = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the others)
            self._writers[name] = pq.ParquetWriter(self._files[name], batch.schema)
        self._writers[name].write_batch(batch)

    def _kept(self, name: str) -> Iterator[pa.RecordBatch]:
        import pyarrow.parquet as pq

        self._close()
        if name in self._files:
            with pq.ParquetFile(self._files[name]) as opened:
                yield from opened.iter_batches()

    def _forget(self) -> None:
        self._close()
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _text(key: tuple[Any, ...]) -> str:
    return json.dumps([str(value) for value in key], ensure_ascii=False)


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in COLUMNS])
