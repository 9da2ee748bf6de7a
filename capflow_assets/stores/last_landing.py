"""What is known of the last landing of a raw table: of which rows, how they were read, and up to where.

Kept in ``{lake}/{customer}/landed/{table}.json``, which belongs to one version of the table: where there is another
(rows were taken out, say, or it was written by hand), nothing is known, and everything is read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from capflow_assets.landing.watermarks import Watermark
from capflow_assets.stores.fingerprints import Fingerprint, fingerprint
from capflow_assets.stores.lake import Lake

# Raised when landing gives other rows for the same source: everything is read again then.
WAY_OF_LANDING = 1


@dataclass(frozen=True, slots=True)
class Landed:
    """The last landing: the table's state that it left, its rows, the way they were read, and the newest of them."""

    table_id: str
    version: int
    way: str
    columns: str
    fingerprint: Fingerprint
    watermark: Watermark | None = None


def read_landed(lake: Lake, customer: str, table: str) -> Landed | None:
    """What is known of the last landing of ``raw/{table}``; None where that is not what lies there."""
    content = lake.read_bytes(customer, _file(table))
    try:
        note: dict[str, Any] = json.loads(content or b"{}")
        watermark = Watermark(**note["watermark"]) if note["watermark"] else None
        landed = Landed(**note | {"fingerprint": Fingerprint(**note["fingerprint"]), "watermark": watermark})
    except (ValueError, KeyError, TypeError):  # none yet, or of another release
        return None
    return landed if lake.identity(customer, f"raw/{table}") == (landed.table_id, landed.version) else None


def why_unknown(lake: Lake, customer: str, table: str) -> str:
    """Why nothing is known of the last landing of ``raw/{table}``, in words."""
    if lake.exists(customer, f"raw/{table}"):
        return "the table was changed by others"
    had_landed = lake.read_bytes(customer, _file(table)) is not None
    return "the table that had landed is gone" if had_landed else "nothing had landed"


def save_landed(lake: Lake, customer: str, table: str, landed: Landed) -> None:
    """Keep what is known of this landing, once the table is written."""
    lake.save_bytes(customer, _file(table), json.dumps(asdict(landed), indent=1).encode())


def way_of(parts: Mapping[str, Any]) -> str:
    """One short word for all that decides how rows are read; it changes with each of the parts."""
    text = json.dumps({"way": WAY_OF_LANDING, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def stored_fingerprint(lake: Lake, customer: str, table: str, columns: Iterable[str]) -> Fingerprint | None:
    """The fingerprint of the rows that lie in a table; None where they cannot be read, and have to be written anew."""
    from pyspark.errors import PySparkException

    try:
        return fingerprint(lake.table(customer, table).select(*columns))
    except PySparkException:
        return None


def _file(table: str) -> str:
    return f"landed/{table}.json"
