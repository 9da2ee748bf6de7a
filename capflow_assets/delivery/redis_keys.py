"""The keys of Redis that a delivery has, and what stands under them (``redis``)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from capflow_assets.contract import Delivery
from capflow_assets.transfer.batches import json_value

SEPARATOR = "|"


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


def pointer_of(content: bytes | None) -> dict[str, Any]:
    """What a pointer says; nothing where there is none, or one of somebody else's."""
    try:
        said = json.loads(content) if content else {}
    except ValueError:
        said = {}
    return said if isinstance(said, dict) else {}


def as_of_of(pointer: dict[str, Any]) -> datetime | None:
    """The as-of of the delivery that a pointer names."""
    try:
        return datetime.fromisoformat(pointer["as_of"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return None
