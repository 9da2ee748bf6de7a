"""Files on an SFTP server: as in a folder (``file_sets``), each under ``.part`` until it is whole, the manifest last.

The server's key is named in ``login.host_keys``; another key ends the delivery before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.delivery import file_sets
from capflow_assets.delivery.encodings import ENCODINGS
from capflow_assets.delivery.file_sets import SetOptions
from capflow_assets.transfer.sftp_places import SftpLogin, SftpPlace

if TYPE_CHECKING:
    import pyarrow as pa


class Options(SetOptions):
    """Where the files go, and as what."""

    folder: str = Field(min_length=1, description="The folder; relative to the one where the user arrives, or /….")
    format: Literal["csv", "parquet"] = Field(default="csv", description="What the files are.")
    login: SftpLogin = Field(description="Which server, its keys, and who logs in.")

    def opened(self) -> SftpPlace:
        """The folder on the server."""
        return SftpPlace(self.login, self.folder)


class Sftp:
    """Sets of files on a server: the same delivery twice is written once."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = True

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """What the manifest says, where all of its files are there in their size."""
        return file_sets.held(options, delivery)

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """The newest as-of of a folder with a manifest."""
        return file_sets.newest(options, delivery)

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Upload the files, and the manifest last."""
        return file_sets.send(options, delivery, batches, options.format, ENCODINGS[options.format])

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Remove the manifest, then the files."""
        return file_sets.withdraw(options, delivery)


DESTINATION = Sftp()
