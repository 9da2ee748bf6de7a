"""CSV files, safe to open in a spreadsheet, in a folder or under an ``s3://`` prefix; their manifest last.

A cell of text that a spreadsheet would compute (it begins with ``=``, ``+``, ``-``, ``@`` or their full-width signs, a
tab or a line break) gets an apostrophe before it, which shows it as the text that it is. Numbers are numbers and stay.
UTF-8; times in UTC by ISO 8601; lists as JSON; an empty cell is null.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.delivery import encodings, file_sets

if TYPE_CHECKING:
    import pyarrow as pa


class Options(file_sets.FileOptions):
    """Where the files go, and how they are written."""

    separator: Literal[",", ";", "\t", "|"] = Field(default=",", description="What stands between cells.")


class CsvFiles:
    """Sets of CSV files: the same delivery twice is written once."""

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
        return file_sets.send(options, delivery, batches, "csv", lambda table: encodings.csv(table, options.separator))

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Remove the manifest, then the files."""
        return file_sets.withdraw(options, delivery)


DESTINATION = CsvFiles()
