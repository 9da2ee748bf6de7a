"""What is wrong with a customer's TOML, in words: the key, the rule, what came, and what to do.

Belongs here: how a problem is told. Does not belong here: what a customer may declare (``customer.py``). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from capflow_assets.customers.value_rules import rule_of
from capflow_assets.errors import NAME_CHARACTERS, CapflowError, listed, nearest, shortened

SHOWN_CHARACTERS = 120
SECRET = re.compile("pass|pwd|secret|token|credential|key")


def unknown(key: str, kind: str, name: str, known: Collection[str]) -> CapflowError:
    """A name that there is not, and the nearest that there is."""
    near = nearest(name, known)
    do = f"did you mean {near!r}?" if near else f"take it out, or choose a {kind} that there is"
    expected = f"a {kind}: one of {listed(sorted(known)) or 'none'}"
    return CapflowError(shortened(key), expected=expected, came=repr(shortened(name)), do=do)


def validation_problems(error: ValidationError, prefix: str, fields: Collection[str]) -> list[CapflowError]:
    """The problems that pydantic found, each by its dotted key; ``fields`` are the keys that there could be."""
    return [_problem(detail, prefix, fields) for detail in error.errors(include_url=False)]


def _problem(detail: Any, prefix: str, fields: Collection[str]) -> CapflowError:
    key = shortened(".".join(str(part) for part in (prefix, *detail["loc"]) if part != ""), 2 * NAME_CHARACTERS)
    received = repr(detail["input"])
    received = received if len(received) <= SHOWN_CHARACTERS else received[:SHOWN_CHARACTERS] + " …"
    if any(SECRET.search(str(part).lower()) for part in detail["loc"]):
        received = "(not shown)"
    if detail["type"] == "missing":
        return CapflowError(key, expected="a value", came="nothing", do="add it")
    if detail["type"] == "extra_forbidden":
        name = str(detail["loc"][-1])
        near = nearest(name, fields)
        do = f"did you mean {near!r}?" if near else "take it out"
        do = "it belongs into another part of the file: move it there" if name in fields else do
        return CapflowError(f"{key} is no key that is known", came=received, do=do)
    return CapflowError(key, expected=rule_of(detail), came=received)
