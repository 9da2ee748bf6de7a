"""The words, texts and signs of an expression, as sqlglot's tokenizer for Spark reads them. Pure.

Where a text or a comment ends is decided here and nowhere else: what reaches the engine is spelled anew. Escapes in
texts are read as Spark reads them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from capflow_assets.errors import MappingError

if TYPE_CHECKING:
    from sqlglot.tokens import Tokenizer

MOST_CHARACTERS = 20_000
SHOWN_CHARACTERS = 40
SIGNS = ("<=>", ">>>", "||", "::", "->", "=>", "<=", ">=", "<>", "!=", "!<", "!>", "==", "<<", ">>")
NUMBER = re.compile(r"(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?(?:[bB][dD]|[lLsSyYdDfF])?(?!\w)")
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[01][0-7]{2}|.)", re.DOTALL)
LETTERS = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}

Kind = Literal["word", "name", "text", "number", "sign", "end"]


class UnreadableError(MappingError):
    """A text that is no expression at all: it may be the name of a column."""


class DeepError(MappingError):
    """A text that is nested deeper than an engine can follow; no column is called so."""


@dataclass(frozen=True, slots=True)
class Token:
    """A part of an expression: what it is, what it says, and where it stands."""

    kind: Kind
    value: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """A word in small letters; blank for everything else, and for words that only look like ASCII."""
        return self.value.lower() if self.kind == "word" and self.value.isascii() else ""


def tokens(text: str) -> list[Token]:
    """The tokens of an expression and its end.

    Raises:
        MappingError: the expression is too long, or a text or comment in it does not end.
    """
    from sqlglot.errors import TokenError

    if len(text) > MOST_CHARACTERS:
        expected, do = f"at most {MOST_CHARACTERS:,} characters", "make the column where the rows are exported"
        raise MappingError(
            "A mapping's expression is too long", expected=expected, came=f"{len(text):,} characters", do=do
        )
    try:
        raw: list[Any] = _tokenizer().tokenize(text)
    except TokenError as error:
        do = "end each text with the quote that it began with, and each comment with */"
        raise UnreadableError("A mapping cannot be read", came=snippet(text, 0, len(text)), do=do) from error
    kept: list[Token] = []
    for token in raw:
        if not kept or token.start >= kept[-1].end:
            added = _token(text, token.start, token.end + 1, token.token_type.name)
            kept[-1:] = _joined(text, kept[-1], added) if kept else [added]
    return [*kept, Token("end", "", len(text), len(text))]


def _joined(text: str, before: Token, after: Token) -> list[Token]:
    """Two texts that stand side by side are one; a quote that is doubled is a quote of the text."""
    if (before.kind, after.kind) != ("text", "text"):
        return [before, after]
    quote = text[after.start] if before.end == after.start and text[before.end - 1] == text[after.start] else ""
    return [Token("text", before.value + quote + after.value, before.start, after.end)]


def snippet(text: str, start: int, end: int) -> str:
    """A part of an expression as errors show it.

    >>> snippet("upper(name) || now()", 15, 18)
    "'now' at character 16 of 'upper(name) || now()'"
    """
    shown = text[start : min(end, start + SHOWN_CHARACTERS)] + ("…" if end - start > SHOWN_CHARACTERS else "")
    before = max(0, start - SHOWN_CHARACTERS)
    around = ("…" if before else "") + text[before : start + 2 * SHOWN_CHARACTERS]
    around += "…" if start + 2 * SHOWN_CHARACTERS < len(text) else ""
    return f"{shown or 'the end'!r} at character {start + 1} of {around!r}"


@cache
def _tokenizer() -> Tokenizer:
    from sqlglot.dialects.spark import Spark
    from sqlglot.tokens import TokenType

    class RowTokenizer(Spark.Tokenizer):
        """Spark's tokenizer without keywords: the grammar decides what a word means."""

        KEYWORDS: ClassVar[dict[str, TokenType]] = dict.fromkeys(SIGNS, TokenType.UNKNOWN)
        COMMANDS: ClassVar[set[TokenType]] = set()
        NUMERIC_LITERALS: ClassVar[dict[str, str]] = {}
        HEX_STRINGS: ClassVar[list[str | tuple[str, str]]] = []

    return RowTokenizer(dialect=Spark)


def _token(text: str, start: int, end: int, kind: str) -> Token:
    written = text[start:end]
    number = NUMBER.match(text, start)
    if number and (written[0].isdigit() or written[0] == "."):
        return Token("number", number[0], start, number.end())
    if kind == "STRING":
        return Token("text", unescaped(written[1:-1]), start, end)
    if kind == "RAW_STRING":
        return Token("text", written[2:-1], start, end)
    if kind == "IDENTIFIER":
        return Token("name", written[1:-1].replace("``", "`"), start, end)
    if kind == "VAR":
        return Token("word", written, start, end)
    sign = next((sign for sign in SIGNS if text.startswith(sign, start)), written)
    return Token("sign", sign, start, start + len(sign))


def unescaped(body: str) -> str:
    r"""What Spark reads between the quotes of a text.

    >>> unescaped(r"a\n\\\'\u0041\101\x\%")
    "a\n\\'AAx\\%"

    Raises:
        MappingError: an escape names no character.
    """
    if "\\" not in body:
        return body
    try:
        # Two escapes may be the halves of one character.
        return ESCAPE.sub(_character, body).encode("utf-16", "surrogatepass").decode("utf-16")
    except (UnicodeError, ValueError, OverflowError):
        do = "write the character itself"
        raise MappingError(
            "An escape in a text names no character", came=repr(body[:SHOWN_CHARACTERS]), do=do
        ) from None


def _character(match: re.Match[str]) -> str:
    escape = match[1]
    if len(escape) == 1:
        return LETTERS.get(escape, escape)
    return chr(int(escape, 8) if escape[0].isdigit() else int(escape[1:], 16))
