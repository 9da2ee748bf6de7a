"""The text of a draft: TOML with a comment beside every guess; what is unsure begins with ``# ?``. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from capflow_assets.drafting.parts import MONGODB_PATH, Draft, Guess, TableDraft, quoted
from capflow_assets.errors import visible

ASKS = "# ?"
ONE_COLUMN = re.compile(r"`((?:[^`]|``)+)`")
LONGEST_LINE = 110


def text_of(draft: Draft, of_what: str) -> str:
    """The whole TOML. ``of_what`` says in the first line what it was made of."""
    lines = [f"# Drafted from {of_what}. What is unsure is marked {ASKS!r}: see to it, then capflow onboard."]
    lines += [f"#   {number}. {_one_line(question)}" for number, question in enumerate(draft.questions, 1)]
    lines += [f"# {_one_line(note)}" for note in draft.notes]
    lines += [_said(key, guess) for key, guess in draft.head.items()]
    if draft.not_a_user is not None:
        lines.append(_said("not_a_user", draft.not_a_user))
    for table in draft.tables:
        lines += ["", *_table(table, f"tables.{table.name}")]
    return "\n".join(lines) + "\n"


def _table(table: TableDraft, key: str) -> Iterator[str]:
    yield from (f"# {_one_line(note)}" for note in table.notes)
    yield f"[{key}]"
    if table.query is not None:
        yield _said("query", table.query)
    else:
        yield f"source = {_value(table.source)}"
        yield f"location = {_value(table.location)}"
    for name in ("where", "bill_key", "personal", "exports_by", "equal_lines"):
        guess = getattr(table, name)
        if guess is not None:
            yield _said(name, guess)
    if table.options and table.query is None:
        yield f"[{key}.options]"
        yield from (_said(name, guess) for name, guess in table.options.items())
    for name, inner in table.inputs.items():
        yield f"[{key}.inputs.{name}]"
        yield f"source = {_value(inner.source)}"
        yield f"location = {_value(inner.location)}"
        if inner.options:
            yield f"options = {_inline({option: guess.value for option, guess in inner.options.items()})}"
    yield f"[{key}.columns]"
    yield from (_said(name, _plain(guess)) for name, guess in table.columns.items())


def _plain(guess: Guess) -> Guess:
    """A column alone by its own name, without quotes; a part of one that needs them keeps them."""
    if MONGODB_PATH.fullmatch(str(guess.value)):
        return Guess(quoted(str(guess.value)), guess.why, guess.is_unsure)
    match = ONE_COLUMN.fullmatch(str(guess.value))
    return Guess(match[1].replace("``", "`"), guess.why, guess.is_unsure) if match else guess


def _said(key: str, guess: Guess) -> str:
    why = _one_line(guess.why)
    comment = f"{ASKS} {why}".rstrip() if guess.is_unsure else f"# {why}" if why else ""
    line = f"{key} = {_value(guess.value)}"
    if not comment:
        return line
    is_long = "\n" in line or len(line) + len(comment) > LONGEST_LINE
    return f"{comment}\n{line}" if is_long else f"{line}  {comment}"


def _value(value: Any) -> str:
    if isinstance(value, str) and value.startswith("select ") and "\n" in value:
        escaped = value.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        return f'"""\n{escaped}\n"""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return _inline(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _one_line(text: str) -> str:
    """A text that may stand behind ``#``, whatever a customer's columns are called."""
    return visible(" ".join(text.split()))


def _inline(values: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in values.items()) + " }"
