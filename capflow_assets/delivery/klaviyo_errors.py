"""Which profiles Klaviyo's errors are about (``klaviyo``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from capflow_assets.transfer.batches import Row

POINTER = re.compile(r"/data/attributes/profiles/data/(\d+)(/|$)")


def said_errors(content: bytes, under: str = "errors") -> list[Mapping[str, Any]]:
    """The errors in an answer: those of a request that is refused, or the ``data`` of a job's own."""
    import orjson

    try:
        entries = orjson.loads(content)[under]
    except (ValueError, KeyError, TypeError):
        return []
    return [entry.get("attributes", entry) for entry in entries if isinstance(entry, dict)]


def next_path(content: bytes) -> str | None:
    """The path of the next page; its host is not looked at: the page is asked for where the others were.

    >>> next_path(b'{"links": {"next": "https://a.klaviyo.com/api/x/import-errors?page%5Bcursor%5D=b"}}')
    '/api/x/import-errors?page%5Bcursor%5D=b'
    """
    import orjson

    try:
        parts = urlsplit(orjson.loads(content)["links"]["next"] or "")
    except (ValueError, KeyError, TypeError):
        return None
    return f"{parts.path}?{parts.query}" if parts.path else None


def places_of(
    errors: Iterable[Mapping[str, Any]], rows: Sequence[Row], identifier: str
) -> tuple[dict[int, str], list[str]]:
    """Errors by the place of the row that they are about, and those that are about none that can be told.

    A job's error has the profile as it was sent (``original_payload``); a refused request's points to its place.

    >>> rows = [Row(("ann",), {}, b""), Row(("bob",), {}, b"")]
    >>> profile = {"type": "profile", "attributes": {"external_id": "bob"}}
    >>> places_of([{"detail": "bad", "original_payload": profile}, {"title": "odd"}], rows, "external_id")
    ({1: 'bad'}, ['odd'])
    """
    by_user = {str(row.key[0]): place for place, row in enumerate(rows)}
    named: dict[int, str] = {}
    unplaced: list[str] = []
    for error in errors:
        why = str(error.get("detail") or error.get("title") or "refused")
        place = by_user.get(_user(error.get("original_payload"), identifier))
        match = POINTER.match(str((error.get("source") or {}).get("pointer", "")))
        if place is None and match:
            place = int(match[1])
        if place is None:
            unplaced.append(why)
        else:
            named[place] = why
    return named, unplaced


def _user(payload: Any, identifier: str) -> str:
    if not isinstance(payload, dict):
        return ""
    attributes = payload.get("attributes", payload)
    return str(attributes.get(identifier, "")) if isinstance(attributes, dict) else ""
