"""What a delivery is, and what a kind of destination does with one.

The order is always the same: ask what the destination holds (``held``, ``newest``), send, and mark it in the ledger.
So a delivery may be killed anywhere and go on: what is held is not sent again, what is not is sent under the same id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

# What a delivered column may be: a scalar, or a list of one.
ColumnKind = Literal[
    "string", "double", "int", "bigint", "boolean", "date", "timestamp",
    "list<string>", "list<double>", "list<int>", "list<bigint>",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeliveredColumn:
    """One column as the destination is to call it; times are UTC."""

    name: str
    kind: ColumnKind


@dataclass(frozen=True, slots=True)
class Delivery:
    """One model's predictions of one moment on their way to one destination.

    ``id`` is a digest (64 hexadecimal letters) of customer, model, version, as-of, destination and rules: the same
    delivery has the same id whenever it is sent. ``version`` is that of the model. ``columns`` are those of the
    batches, in order; ``key`` names the columns (as delivered) that tell one row from the others; ``user`` names the
    one with the shopper's id, blank where the rows are of no users. ``as_of`` and ``valid_until`` are UTC.
    """

    id: str
    customer: str
    model: str
    version: int
    as_of: datetime
    valid_until: datetime
    destination: str
    columns: tuple[DeliveredColumn, ...]
    key: tuple[str, ...]
    user: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """One row that the destination would not take: the values of its key, and why not, in words."""

    key: tuple[Any, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the rows: ``rows`` were taken, and every other one is in ``refused`` or ``unknown`` by its key.

    ``bytes`` are those sent or written. ``checksum`` can be compared with that of ``Held``; blank where the destination
    has none to compare with.
    """

    rows: int
    bytes: int
    checksum: str = ""
    refused: tuple[Refused, ...] = ()
    unknown: tuple[tuple[Any, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What a destination says that it holds of a delivery; ``rows`` None and ``checksum`` blank where it cannot say."""

    id: str
    rows: int | None
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was taken back: ``rows`` (None: their number is not known), or ``reason`` why it cannot be."""

    rows: int | None
    reason: str = ""


class Destination(Protocol):
    """One kind of destination: what ``DESTINATION`` of every module of ``delivery`` is.

    ``options`` is the pydantic model of what a customer may say about such a destination; credentials are named in it
    (``transfer.secrets.FromEnv``). ``resend`` says whether the same delivery may be sent twice: ``idempotent`` where
    the second changes nothing, ``never`` where it may double. ``tells`` says whether ``held`` and ``newest`` can be
    answered at all; where not, the ledger alone knows.

    Every method may raise ``DeliveryError`` (nothing was taken, or it is certain what was) and ``send`` also
    ``DeliveryUnknown`` (it was sent, and no answer came).
    """

    options: type[Any]
    resend: Literal["idempotent", "never"]
    tells: bool

    def held(self, options: Any, delivery: Delivery) -> Held | None:
        """What the destination holds of this delivery, once all of it is there; None where it is not."""

    def newest(self, options: Any, delivery: Delivery) -> datetime | None:
        """The newest as-of moment (UTC) that it holds of this customer and model; None where it holds none."""

    def send(self, options: Any, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Bring the rows there. Batches come once, in the same order each time; they are never held whole."""

    def withdraw(self, options: Any, delivery: Delivery) -> Withdrawn:
        """Take back what this delivery wrote, and nothing else; twice is as once."""


@runtime_checkable
class ErasesUsers(Protocol):
    """A kind of destination from which single users can be taken."""

    def erase(self, options: Any, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        """Delete these users' rows of this delivery; users that it does not hold are no error."""
