"""Every error that a person can meet, and its words.

    CapflowError
    ├── CustomerError      a customer's TOML is wrong (file, key, rule, what came)
    ├── SourceError        a store cannot be opened or read
    ├── MappingError       a column mapping does not fit what the source holds
    ├── TableError         a table breaks its schema, or too many of its rows do
    ├── NotFoundError      a customer, table or model that does not exist; names the ones that do
    ├── GraphError         the code of a stage is wired wrongly; raised at load, never at night
    ├── ModelError         a model cannot be trained or served
    │   └── EvidenceError  there is too little to learn from or to judge by: a verdict of "not ready", no fault
    ├── BrokenModelError   a registered version whose files are missing, damaged or not those that were registered
    ├── DeliveryError      predictions cannot be brought to a destination, or taken back
    │   └── DeliveryUnknown  they were sent, and no answer came: neither done nor failed
    ├── InUseError         somebody else is writing the customer; names the process
    └── StoreError         a disk or a database below a deployment cannot be used
        └── LostVersionError  a version that a pointer names is not there any more

A message says what was expected, what came, where, and what to do. It is built here, so that all of them read alike,
and here it has its end: a source of 60,000 columns, or one name of a megabyte, still makes a message of a few lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Self

# How many names a list shows, and how long a name, a part of a message and a whole list of problems may be.
LISTED = 20
NAME_CHARACTERS = 120
PART_CHARACTERS = 2_500
PROBLEMS = 20


class CapflowError(Exception):
    """The root. ``str(error)`` is fit to be shown to a person as it is."""

    def __init__(self, what: str, *, expected: str = "", came: str = "", where: str = "", do: str = "") -> None:
        parts = [what.rstrip(".") + "."]
        details = (("Expected", expected), ("Came", came), ("Where", where), ("To do", do))
        parts += [f"{label}: {text}" for label, text in details if text]
        parts = [shortened(part, PART_CHARACTERS) for part in parts]
        super().__init__("\n  ".join(map(visible, parts)))
        self.what = what
        self._told = {"expected": expected, "came": came, "where": where, "do": do}

    def at(self, where: str) -> Self:
        """The same error with the place that its raiser did not know.

        >>> print(CapflowError("A word is wrong", came="'x'").at("boots.toml"))
        A word is wrong.
          Came: 'x'
          Where: boots.toml
        """
        return type(self)(self.what, **{**self._told, "where": where})


def in_one_line(error: CapflowError) -> str:
    """The words of an error, its parts behind each other.

    >>> in_one_line(CapflowError("A word is wrong", came="'x'", do="mend it"))
    "A word is wrong; came: 'x'; to do: mend it"
    """
    first, *parts = (" ".join(line.split()) for line in str(error).splitlines())
    return "; ".join([first.removesuffix("."), *(part[:1].lower() + part[1:] for part in parts)])


def shortened(text: str, most: int = NAME_CHARACTERS) -> str:
    """The text, or its beginning and how much of it is not shown.

    >>> shortened("unit_price"), shortened("a" * 1_000_000, 3)
    ('unit_price', 'aaa… (999,997 more characters)')
    """
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def listed(names: Iterable[object], separator: str = ", ", most: int = LISTED) -> str:
    """The first names, and how many more there are.

    >>> listed(["bills", "items"]), listed((f"c{n}" for n in range(60_000)), most=2)
    ('bills, items', 'c0, c1 … and 59,998 more')
    """
    every = list(names)
    more = f" … and {len(every) - most:,} more" if len(every) > most else ""
    return separator.join(shortened(str(name)) for name in every[:most]) + more


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known name that is most like ``name``; blank where none is, and where either is too long to be mistyped.

    >>> nearest("amuont", ["amount", "user_id"]), nearest("x", ["amount"])
    ('amount', '')
    """
    if len(name) > NAME_CHARACTERS:
        return ""
    closest = get_close_matches(
        name, [candidate for candidate in known if len(candidate) <= NAME_CHARACTERS], n=1, cutoff=cutoff
    )
    return closest[0] if closest else ""


def visible(text: str) -> str:
    """The text with what a terminal would obey, or nobody would see, written out; further lines stand under the first.

    >>> print(visible("a\\x1b[2J\\0b\\u202ec\\nd"))
    a\\x1b[2J\\x00b\\u202ec
        d
    """
    lines = ("".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line) for line in text.split("\n"))
    return "\n    ".join(lines)


class CustomerError(CapflowError):
    """A customer's TOML is wrong.

    >>> print(CustomerError.listing("boots.toml", [CapflowError("name", expected="a name", came="nothing")]))
    boots.toml has 1 problem.
      1. name.
         Expected: a name
         Came: nothing
    """

    @classmethod
    def listing(cls, file: str, problems: Sequence[CapflowError]) -> CustomerError:
        """The error that tells every problem of a file at once."""
        error = cls(f"{file} has {len(problems):,} problem{'s' if len(problems) != 1 else ''}")
        numbered = [str(problem).replace("\n", "\n   ") for problem in problems[:PROBLEMS]]
        more = [f"… and {len(problems) - PROBLEMS:,} more"] if len(problems) > PROBLEMS else []
        error.args = (
            "\n  ".join([str(error), *(f"{place}. {text}" for place, text in enumerate(numbered, 1)), *more]),
        )
        return error


class SourceError(CapflowError):
    """A store cannot be opened or read."""


class MappingError(CapflowError):
    """A column mapping does not fit what the source holds."""


class TableError(CapflowError):
    """A table breaks its schema, or too many of its rows do."""


class GraphError(CapflowError):
    """The code of a stage is wired wrongly."""


class ModelError(CapflowError):
    """A model cannot be trained or served."""


class EvidenceError(ModelError):
    """There is too little to learn from, or to judge by: the customer is not ready for the model, and nothing broke."""


class BrokenModelError(CapflowError):
    """A registered version cannot be loaded: its files are missing, damaged, or not those that were registered."""


class DeliveryError(CapflowError):
    """Predictions cannot be brought to a destination, or taken back: nothing was taken, or it is certain what."""


class DeliveryUnknown(DeliveryError):  # noqa: N818  (it is no failure)
    """Rows were sent and no answer came: neither done nor failed."""


class InUseError(CapflowError):
    """Somebody else is writing the customer."""


class StoreError(CapflowError):
    """A disk or a database below a deployment cannot be used."""


class LostVersionError(StoreError):
    """A version of a table that a pointer names is not in the store any more."""


class NotFoundError(CapflowError):
    """Something was asked for by a name that does not exist.

    >>> print(NotFoundError.among("customer", "grocr", ["grocer", "records"]))
    There is no customer 'grocr'.
      Expected: one of grocer, records
      To do: did you mean 'grocer'?
    """

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], do: str = "") -> NotFoundError:
        """The error for a ``name`` that is not among the ``known`` ones, with the nearest as a hint."""
        names = sorted(known)
        near = nearest(name, names)
        hint = f"did you mean {near!r}?" if near else do
        expected = f"one of {listed(names)}" if names else "there is none yet"
        return cls(f"There is no {kind} {shortened(name)!r}", expected=expected, do=hint)
