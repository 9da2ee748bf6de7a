"""A JSON document read as a stream, record by record: no more of it is held than a record and some megabytes.

A record that is no JSON is still cut out, by its brackets, so that it costs no other. A document that breaks off is
refused, since nobody can tell how much of it is lacking.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import IO

from capflow_assets.errors import SourceError

READ_CHARACTERS = 1 << 20
MOST_RECORD_BYTES = 64 << 20
SPACE = re.compile(r"[ \t\r\n]*")
# Text, whole or not, and what opens, closes or parts values.
SIGN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?P<end>"?)|[\[\]{},]', re.DOTALL)
DECODER = json.JSONDecoder()
MEND = "export it again; the file is damaged or was still being written"


class Document:
    """A stream of JSON text, read value by value."""

    def __init__(self, stream: IO[str], path: str) -> None:
        self.stream, self.path = stream, path
        self.text, self.at, self.before, self.ended = "", 0, 0, False
        self._more()
        self.text = self.text.removeprefix("\ufeff")

    def records(self, path: str) -> Iterator[str]:
        """The text of each record at a ``path`` such as ``data.items``; at the top where it is blank."""
        if path:
            self._descend(path.split("."))
        while self._next():
            if self._next() == "[":
                yield from self._elements()
            elif path and self._next() != "{":
                received = self._value()[:100]
                raise SourceError(f"{path} holds no records", expected="an array", came=received, where=self.path)
            else:
                yield self._value()
            if path:
                return

    def _elements(self) -> Iterator[str]:
        self.at += 1
        while self._next() != "]":
            yield self._value()
            if self._next() == ",":
                self.at += 1
            elif self._next() != "]":
                raise self._broken("a comma or the array's end")
        self.at += 1

    def _descend(self, names: Sequence[str]) -> None:
        """Go to the value at a path of names; what lies before it is passed over."""
        for name in names:
            if self._next() != "{":
                raise self._broken(f"an object with {name!r} (options.records)")
            self.at += 1
            seen: list[str] = []
            while True:
                if self._next() == "}":
                    received = f"an object with {', '.join(seen)[:200] or 'nothing'}"
                    raise SourceError(
                        f"The document has no {'.'.join(names)!r}", expected=name, came=received, where=self.path
                    )
                seen.append(self._name())
                if seen[-1] == name:
                    break
                self._value()
                if self._next() == ",":
                    self.at += 1

    def _name(self) -> str:
        try:
            name = json.loads(self._value())
        except ValueError:
            name = None
        if not isinstance(name, str) or self._next() != ":":
            raise self._broken("a name and a colon")
        self.at += 1
        return name

    def _next(self) -> str:
        """The next character that is no space; '' at the end."""
        while True:
            match = SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self._more()

    def _value(self) -> str:
        """The text of the next value, whether or not it is JSON inside."""
        self._next()
        while True:
            end = self._end()
            # A number at the end of what was read may go on.
            if end is not None and (end < len(self.text) or self.ended):
                if end == self.at:
                    raise self._broken("a value")
                value, self.at = self.text[self.at : end], end
                return value
            if self.ended:
                raise self._broken("a value's end")
            if len(self.text) - self.at > MOST_RECORD_BYTES:
                raise too_long("record", self.path)
            self._more()

    def _end(self) -> int | None:
        """Where the value that begins here ends; None where that is not yet read."""
        try:
            return DECODER.raw_decode(self.text, self.at)[1]
        except (ValueError, RecursionError):
            return _closing(self.text, self.at)

    def _more(self) -> None:
        """Read on, twice as much as is left over, so that a long record is not looked at again and again."""
        left = self.text[self.at :]
        self.before += self.at
        read = read_text(self.stream, max(READ_CHARACTERS, len(left)), self.path)
        self.text, self.at, self.ended = left + read, 0, not read

    def _broken(self, expected: str) -> SourceError:
        received = repr(self.text[self.at : self.at + 50]) if self._next() else "its end"
        where = f"{self.path}, character {self.before + self.at + 1:,}"
        return SourceError(
            "A JSON document breaks off or is no JSON", expected=expected, came=received, where=where, do=MEND
        )


def _closing(text: str, start: int) -> int | None:
    """Where the brackets that open at ``start`` are closed, or a bare word ends.

    >>> _closing('{"a": "}", b: [1}, {}', 0), _closing("nope, 2", 0), _closing('{"a": ', 0)
    (None, 4, None)
    >>> _closing('{"a": "}", b: [1]}, {}', 0)
    18
    """
    depth = 0
    for match in SIGN.finditer(text, start):
        sign = match[0]
        if sign[0] == '"':
            if not match["end"]:
                return None
        elif sign in "[{":
            depth += 1
        elif depth == 0:
            return match.start()
        elif sign in "]}":
            depth -= 1
            if depth == 0:
                return match.end()
    return None


def read_text(stream: IO[str], characters: int, path: str) -> str:
    """The next characters of a file; '' at its end.

    Raises:
        SourceError: it is damaged.
    """
    try:
        return stream.read(characters)
    except (OSError, ValueError) as error:
        received = str(error).strip().split("\n")[0][:200]
        raise SourceError("A file cannot be unpacked or read", came=received, where=path, do=MEND) from error


def too_long(what: str, path: str) -> SourceError:
    """The error for a record without end."""
    expected = f"at most {MOST_RECORD_BYTES >> 20} MiB"
    do = "options: form = 'document' for what is no line by line export, or options.records"
    return SourceError(f"A {what} of a JSON file is too long", expected=expected, where=path, do=do)
