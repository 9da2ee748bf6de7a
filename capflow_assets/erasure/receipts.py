"""Receipts: what was done about one user who is forgotten, kept at ``{lake}/{customer}/receipts``. They name nobody."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as package_version

from capflow_assets.stores.lake import Lake
from capflow_assets.stores.places import files_below, opened


@dataclass
class Receipt:
    """What was done about one user of a customer. ``remains`` says what is left, where, and what to do about it."""

    customer: str
    user_digest: str
    reason: str
    by: str
    at: str
    code_version: str
    was_known: bool = False
    rows_removed: dict[str, int] = field(default_factory=dict)
    versions: dict[str, list[int | None]] = field(default_factory=dict)
    bills_suppressed: int = 0
    files_removed: int = 0
    models_marked: dict[str, list[int]] = field(default_factory=dict)
    records_redacted: dict[str, int] = field(default_factory=dict)
    deliveries: list[dict[str, str | int | None]] = field(default_factory=list)
    recomputed_at_the_next_run: list[str] = field(default_factory=list)
    remains: list[str] = field(default_factory=list)
    place: str = ""

    def lines(self) -> list[str]:
        """The receipt in words."""
        rows = sum(self.rows_removed.values())
        known = "" if self.was_known else "; nobody of that id was known"
        marked = sum(map(len, self.models_marked.values()))
        return [
            f"forgot a user of {self.customer} ({self.user_digest[:12]}){known}",
            f"  {rows:,} rows of {len(self.rows_removed)} tables, {self.files_removed:,} old files and pictures",
            f"  {marked} model versions marked, {sum(self.records_redacted.values())} records redacted",
            *(f"  delivery: {_words(delivery)}" for delivery in self.deliveries),
            *(f"  remains: {remainder}" for remainder in self.remains),
            f"  receipt: {self.place}",
        ]


def _words(delivery: Mapping[str, str | int | None]) -> str:
    """What a destination did about the user."""
    name = f"{delivery['model']} to {delivery['destination']}, as of {delivery['as_of']}"
    done = "rows" if delivery["rows"] is None else f"{delivery['rows']} rows"
    return f"{name}: {delivery['reason'] or f'{done} deleted'}"


def begin_receipt(customer: str, user_digest: str, reason: str) -> Receipt:
    """The receipt of a forgetting that begins now, by this process's account."""
    return Receipt(
        customer=customer,
        user_digest=user_digest,
        reason=reason,
        by=who(),
        at=datetime.now(UTC).isoformat(),
        code_version=package_version("capflow-assets"),
    )


def save_receipt(lake: Lake, receipt: Receipt) -> None:
    """Write a receipt below the customer's prefix, and note in it where."""
    at = datetime.fromisoformat(receipt.at).strftime("%Y%m%dT%H%M%S%fZ")
    name = f"receipts/forget-{at}-{receipt.user_digest[:12]}.json"
    content = {key: value for key, value in asdict(receipt).items() if key != "place"}
    receipt.place = lake.save_bytes(receipt.customer, name, json.dumps(content, indent=2).encode())


def unsettled(lake: Lake, customer: str, user_digest: str) -> set[str]:
    """Deliveries whose destination has not yet deleted a user who was forgotten before: it was down, or cannot."""
    begin = "/receipts/forget-"
    files = [info.path for info in files_below(f"{lake.prefix(customer)}/receipts") if begin in info.path]
    store, _ = opened(lake.prefix(customer))
    waiting: set[str] = set()
    for path in sorted(file for file in files if file.endswith(f"-{user_digest[:12]}.json")):
        with store.open_input_stream(path) as stream:
            content = json.loads(stream.read())
        for delivery in content["deliveries"] if content["user_digest"] == user_digest else ():
            # Receipts of earlier releases do not name deliveries.
            if delivery.get("delivery"):
                (waiting.add if delivery["reason"] else waiting.discard)(delivery["delivery"])
    return waiting


def who() -> str:
    """The account that this process runs as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without names
        return "an account without a name"
