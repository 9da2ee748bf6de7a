"""The tree of an expression over one row, and its spelling as SQL. Pure.

Every piece of SQL in a tree is a word of ours. What a customer wrote is in it as a name or as a text, and both are
spelled in a way that no reader of SQL takes for anything else, whatever is in them.

Columns built by the client's own calls would be no safer and less able: protocol buffers nest at most 100 levels, which
50 operators fill.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from capflow_assets.errors import MappingError

# Quotes, backslashes, dollars, slashes and what is not ASCII are written as their numbers; a comment cannot begin.
UNSAFE = re.compile(r"[^A-Za-z0-9 _.,:-]|-(?=-)|(?<=-)-")
# Spark on a JVM puts settings and variables of its process in the place of these, in backquotes as well.
SUBSTITUTED = "${"


@dataclass(frozen=True, slots=True)
class Text:
    """A text, as data."""

    value: str
    depth: int = 1
    doubled: int = 0
    grown: int = 1
    kind: str = "text"
    type: Any = None
    unread: Node | None = None
    instant: Node | None = None
    as_written: Node | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """A name in backquotes: of a column, or of a part of it. The engine's ``type`` is given where it is known."""

    value: str
    depth: int = 1
    doubled: int = 0
    grown: int = 1
    kind: str = ""
    type: Any = None
    unread: Node | None = None
    instant: Node | None = None
    as_written: Node | None = None


# Where a phrase is not told what of it was unread.
OF_PARTS = Text("")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of ours with nodes between them; what is not ``closed`` stands in parentheses within another.

    ``depth`` is how deep the engine finds it nested, ``added`` levels more than its parts; ``doubled`` counts how
    often an engine may write out a part twice, and what is in it with it. ``grown`` is how many times as large as a
    cell the value may be, as far as written numbers tell: ``times`` what its parts are, which is all of them together
    where one is computed for each part of another.

    ``kind`` is what the value is (see ``kinds``), ``type`` the engine's type of what has parts, where they are known.
    ``unread`` is the text that says which value could not be converted in a row, null where all could: that of the
    parts where nothing else is given. ``instant`` is the moment that a text or a local time was made of, which a clock
    that is set back shows twice; ``as_written`` is an instant that was made of a local time before it was one.
    """

    parts: tuple[Node | str, ...]
    closed: bool = False
    added: int = 1
    doubles: int = 0
    times: int = 1
    is_loop: bool = False
    kind: str = ""
    type: Any = None
    unread: Node | None = OF_PARTS
    instant: Node | None = None
    as_written: Node | None = None
    depth: int = field(init=False)
    doubled: int = field(init=False)
    grown: int = field(init=False)

    def __post_init__(self) -> None:
        nodes = [part for part in self.parts if not isinstance(part, str)]
        object.__setattr__(self, "depth", max((node.depth for node in nodes), default=0) + self.added)
        object.__setattr__(self, "doubled", max((node.doubled for node in nodes), default=0) + self.doubles)
        grown = [node.grown for node in nodes]
        object.__setattr__(self, "grown", (prod(grown) if self.is_loop else max(grown, default=1)) * self.times)
        if self.unread is OF_PARTS:
            object.__setattr__(self, "unread", first_of([node.unread for node in nodes]))


Node = Text | Name | Phrase


def first_of(unread: Sequence[Node | None]) -> Node | None:
    """The first of several texts that say what was unread; None where there are none."""
    there = [words for words in unread if words is not None]
    return listed(there, "coalesce(", ")") if len(there) > 1 else next(iter(there), None)


def spelled(node: Node) -> str:
    """The SQL of a tree.

    >>> spelled(Phrase((Name("a`b"), " || ", Text("it's -- $$"))))
    "`a``b` || 'it\\\\u0027s \\\\u002d\\\\u002d \\\\u0024\\\\u0024'"
    """
    pieces: list[str] = []
    left: list[Node | str] = [node]
    while left:
        part = left.pop()
        if isinstance(part, str):
            pieces.append(part)
        elif isinstance(part, Text):
            pieces.append(f"'{UNSAFE.sub(_escaped, part.value)}'")
        elif isinstance(part, Name):
            pieces.append(quoted(part.value))
        else:
            left += reversed(part.parts if part.closed else [enclosed(inner) for inner in part.parts])
    return "".join(pieces)


def enclosed(part: Node | str) -> Node | str:
    """A part of a phrase in parentheses, unless nothing could be read into it."""
    return Phrase(("(", part, ")"), closed=True) if isinstance(part, Phrase) and not part.closed else part


def quoted(name: str) -> str:
    """A name as Spark SQL reads it: blanks, dots and all.

    Raises:
        MappingError: the name has a sign that Spark replaces before it reads the SQL.
    """
    if SUBSTITUTED in name or "\0" in name:
        do = "map the column by its name alone, or rename it in the export"
        raise MappingError("A column's name cannot stand in an expression", came=repr(name), do=do)
    return quoted_alone(name)


def quoted_alone(name: str) -> str:
    """A name as it is spelled where nothing else stands beside it."""
    return "`" + name.replace("`", "``") + "`"


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def listed(
    nodes: Sequence[Node],
    before: str,
    after: str,
    *,
    doubles: int = 0,
    times: int = 1,
    is_loop: bool = False,
    kind: str = "",
) -> Phrase:
    """Nodes with commas between them, between two words of ours."""
    parts: list[Node | str] = [before]
    for place, node in enumerate(nodes):
        parts += [", ", node] if place else [node]
    return Phrase((*parts, after), closed=True, doubles=doubles, times=times, is_loop=is_loop, kind=kind)
