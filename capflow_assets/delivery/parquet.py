"""Parquet files in a folder or under an ``s3://`` prefix, their manifest last (``file_sets``)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.delivery import encodings, file_sets

if TYPE_CHECKING:
    import pyarrow as pa


class Options(file_sets.FileOptions):
    """Where the files go."""


class ParquetFiles:
    """Sets of Parquet files: the same delivery twice is written once."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = True

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """What the manifest says, where all of its files are there."""
        return file_sets.held(options, delivery)

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """The newest as-of of a folder with a manifest."""
        return file_sets.newest(options, delivery)

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Write the files, and the manifest last."""
        return file_sets.send(options, delivery, batches, "parquet", encodings.parquet)

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Remove the manifest, then the files."""
        return file_sets.withdraw(options, delivery)


DESTINATION = ParquetFiles()
