"""The keys of Redis that a delivery has, and what stands under them (``redis``)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from capflow_assets.contract import Delivery
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets.transfer.batches import json_value
from capflow_assets.transfer.calls import RESENT
from capflow_assets.transfer.secrets import first_line

SEPARATOR = "|"
FLIP_TRIES = 20
CHANGED = "Watched variable changed"


def pointer_name(prefix: str, delivery: Delivery) -> str:
    """The key that says which delivery of a model is to be read."""
    return f"{prefix}:{delivery.customer}:{delivery.model}"


def rows_name(prefix: str, delivery: Delivery) -> str:
    """The key of the hash that holds a delivery's rows."""
    return f"{pointer_name(prefix, delivery)}:{delivery.id[:32]}"


def field_name(key: tuple[Any, ...]) -> str:
    r"""The name of a row in its hash: its key's values, a bar between them.

    >>> field_name(("u|1", 7)), key_values(field_name(("u|1", 7)))
    ('u\\|1|7', ['u|1', '7'])
    """
    return SEPARATOR.join(str(json_value(one)).replace("\\", "\\\\").replace(SEPARATOR, "\\|") for one in key)


def key_values(name: str) -> list[str]:
    """The key's values in the name of a row."""
    parts, signs = [""], iter(name)
    for sign in signs:
        if sign == SEPARATOR:
            parts.append("")
        else:
            parts[-1] += next(signs, "") if sign == "\\" else sign
    return parts


@dataclass(frozen=True, slots=True)
class Round:
    """One delivery of a scoring: those who had to wait for the morning come in one of their own."""

    id: str
    key: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """What is to be read of a model: the rounds of one scoring, the newest first. Times as in ``json_value``."""

    as_of: str
    valid_until: str
    version: int
    rounds: tuple[Round, ...]

    @property
    def moment(self) -> datetime:
        """The as-of moment."""
        return datetime.fromisoformat(self.as_of).astimezone(UTC)

    def round(self, delivery_id: str) -> Round | None:
        """The round that a delivery is; None where it is none of these."""
        return next((one for one in self.rounds if one.id == delivery_id), None)

    def without(self, delivery_id: str) -> Pointer | None:
        """The other rounds; None where there are none."""
        others = tuple(one for one in self.rounds if one.id != delivery_id)
        return replace(self, rounds=others) if others else None

    def written(self) -> str:
        """As it stands in Redis: ``keys`` are those of the rounds, for readers."""
        return json.dumps({"keys": [one.key for one in self.rounds], **asdict(self)})


def pointer_of(content: bytes | None) -> Pointer | None:
    """What a pointer says; None where there is none, or one of somebody else's."""
    try:
        said = json.loads(content or b"")
        rounds = tuple(Round(**one) for one in said["rounds"])
        pointer = Pointer(said["as_of"], said["valid_until"], said["version"], rounds)
        return pointer if pointer.moment else None
    except (ValueError, KeyError, TypeError):
        return None


def next_pointer(before: Pointer | None, delivery: Delivery, added: Round) -> Pointer:
    """The pointer with a delivery: beside the other rounds of its scoring, or in the place of an older one."""
    as_of = json_value(delivery.as_of)
    is_same = before is not None and (before.as_of, before.version) == (as_of, delivery.version)
    others = before.without(delivery.id) if before and is_same else None
    rounds = (added, *(others.rounds if others else ()))
    return Pointer(as_of, json_value(delivery.valid_until), delivery.version, rounds)


def watched(client: Any, change: Any, *names: str) -> None:
    """Make a change that is decided by what stands under ``names``; decide again where somebody else changes that."""
    from redis.exceptions import ConnectionError, TimeoutError, WatchError

    for _ in range(FLIP_TRIES):
        with client.pipeline() as pipe:
            pipe.watch(*names)
            change(pipe)
            try:
                pipe.execute()
                return
            except (ConnectionError, TimeoutError, WatchError) as error:
                # The library also says so where the connection ends with the change on its way.
                if isinstance(error, WatchError) and CHANGED in str(error):
                    continue
                received = first_line(error)
                raise DeliveryUnknown("Redis gave no answer", came=received, where=names[0], do=RESENT) from error
    raise DeliveryError("Redis is changed by others all the time", where=names[0], do="see what else writes this key")
