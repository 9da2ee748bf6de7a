"""Where the reading of an expression stands: the next token, the columns there are, how deep it is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import NoReturn

from capflow_assets.errors import MappingError
from capflow_assets.landing.row_expressions import vocabulary
from capflow_assets.landing.row_expressions.kinds import Meaning, kind_of
from capflow_assets.landing.row_expressions.lexing import DeepError, Token, UnreadableError, snippet, tokens
from capflow_assets.landing.row_expressions.tree import Name, Node, Phrase, Text

MOST_NESTED = 40
MOST_SHOWN = 2000
ELSEWISE = (
    "name one of them; if they look wrong, so are delimiter, header, header_row or encoding in the table's options"
)


class Reader:
    """The tokens of a text, read from left to right, over ``columns`` (any column where None)."""

    def __init__(
        self,
        text: str,
        columns: Sequence[str] | None,
        expression: Callable[[Reader], Node],
        value: Callable[[Reader], Node],
        meaning: Meaning | None = None,
    ) -> None:
        self.text, self.columns, self._meaning = text, columns, meaning
        self.used: dict[str, None] = {}
        self.scopes: list[dict[str, Node]] = []
        self._tokens = tokens(text)
        self._place, self._nested, self._variables = 0, 0, 0
        self._expression, self._value = expression, value
        self._twins: dict[str, list[str]] = {}
        for column in columns or ():
            self._twins.setdefault(column.lower(), []).append(column)

    @property
    def meaning(self) -> Meaning | None:
        """What the columns hold, where that is known; in a function of a list's parts all stays as it is written."""
        return None if self.scopes else self._meaning

    @property
    def next(self) -> Token:
        """The token that comes next."""
        return self.ahead(0)

    def ahead(self, count: int) -> Token:
        """The token that many places behind the next one."""
        return self._tokens[min(self._place + count, len(self._tokens) - 1)]

    def advance(self) -> Token:
        """The next token, which is read with it."""
        token = self.next
        self._place += 1
        return token

    def sign(self, *signs: str) -> str:
        """The next token if it is one of these signs, which is read; else blank."""
        return self.advance().value if self.next.kind == "sign" and self.next.value in signs else ""

    def split(self, first: str) -> bool:
        """Whether the next sign begins with ``first``, which is read; the rest of it stays."""
        token = self.next
        if token.kind != "sign" or not token.value.startswith(first):
            return False
        rest = token.value.removeprefix(first)
        start = token.start + len(first)
        self._tokens[self._place : self._place + 1] = [Token("sign", rest, start, token.end)] if rest else []
        return True

    def word(self, *some: str) -> str:
        """The next token if it is one of these words, which is read; else blank."""
        return self.advance().word if self.next.word in some and self.next.word else ""

    def expect(self, expected: str) -> None:
        """Read a sign or word that has to come now."""
        if not (self.sign(expected) or self.word(expected.lower())):
            self.unexpected(expected)

    def expression(self) -> Node:
        """A whole expression inside of this one."""
        return self._expression(self)

    def value(self) -> Node:
        """An expression up to a word such as IN, which would make a truth value of it."""
        return self._value(self)

    def listed(self) -> list[Node]:
        """Expressions with commas between them, up to and with the closing parenthesis."""
        nodes: list[Node] = []
        while not self.sign(")"):
            if nodes:
                self.expect(",")
            nodes.append(self.expression())
        return nodes

    def deeper(self) -> None:
        """One level of nesting more; ``shallower`` takes it back."""
        self._nested += 1
        if self._nested > MOST_NESTED:
            self.too_deep(self.next)

    def shallower(self) -> None:
        """One level of nesting less."""
        self._nested -= 1

    def too_deep(self, token: Token | None = None) -> NoReturn:
        """Refuse an expression that is nested too deep."""
        received = snippet(self.text, token.start, token.end) if token else snippet(self.text, 0, len(self.text))
        expected = f"at most {MOST_NESTED} levels of parentheses, functions, CASE, NOT and signs"
        do = "write one CASE with several WHEN, or make the column where the rows are exported"
        raise DeepError("A mapping is nested too deep", expected=expected, came=received, do=do)

    def variable(self) -> Node:
        """A name for a parameter of a function, of ours and no column's."""
        self._variables += 1
        while f"item_{self._variables}" in self._twins:
            self._variables += 1
        return Phrase((f"item_{self._variables}",), closed=True)

    def column(self, token: Token) -> Node:
        """The column of the source that a token names; what letters it is written in does not count."""
        name = token.value
        if self.columns is not None:
            twins = self._twins.get(name.lower(), [])
            if len(twins) > 1:
                expected = f"a name of one column: {', '.join(map(repr, twins))} differ in nothing but capital letters"
                do = "rename one of them where the rows are exported"
                self.refuse("A mapping's column is ambiguous", token, do, expected)
            if not twins:
                self._unknown(token)
            name = twins[0]
        self.used[name] = None
        type = None if self._meaning is None else self._meaning.types.get(name)
        return Name(name, kind=kind_of(type), type=type)

    def every_column(self, star: Token) -> list[Node]:
        """The columns of the source, for a star among the arguments of a function; one for them where none is known."""
        if self.columns is None:
            return [Text("")]
        return [self.column(Token("name", name, star.start, star.end)) for name in self.columns]

    def refuse(self, what: str, token: Token, do: str, expected: str = "") -> NoReturn:
        """Refuse the expression because of a token."""
        raise MappingError(what, expected=expected, came=snippet(self.text, token.start, token.end), do=do)

    def refuse_word(self, token: Token, reason: str) -> NoReturn:
        """Refuse a word that an expression must not use."""
        word = token.value.lower()
        do = vocabulary.INSTEAD.get(word, "a mapping is an expression over the columns of one row")
        quoted = f"; a column of that name stands in backquotes: `{word}`" if word in vocabulary.NEVER_COLUMNS else ""
        self.refuse(f"A mapping uses {word!r}, which {reason}", token, do + quoted)

    def unexpected(self, expected: str) -> NoReturn:
        """Refuse the next token, which is none of what is ``expected``."""
        for token in (self.next, self.ahead(-1) if self._place else self.next):
            if reason := vocabulary.REASONS.get(token.word):
                self.refuse_word(token, reason)
        near = self._near(self.text, *(token.value for token in self._tokens if token.kind in ("word", "name")))
        do = f"did you mean {near!r}?" if near else "write texts in single quotes and columns with blanks in backquotes"
        received = snippet(self.text, self.next.start, self.next.end)
        raise UnreadableError("A mapping cannot be read", expected=expected, came=received, do=do)

    def _unknown(self, token: Token) -> NoReturn:
        if token.kind == "word" and (reason := vocabulary.REASONS.get(token.word)):
            self.refuse_word(token, reason)
        shown = ", ".join(map(repr, self.columns or ()))
        shown = shown if len(shown) < MOST_SHOWN else shown[:MOST_SHOWN] + " …"
        near = self._near(self.text, token.value)
        do = f"did you mean {near!r}?" if near else ELSEWISE
        expected = f"a source column or a Spark SQL expression over {shown}"
        received = f"{token.value!r}, which is or names another: {snippet(self.text, token.start, token.end)}"
        raise MappingError("A mapping cannot be read", expected=expected, came=received, do=do)

    def _near(self, *names: str) -> str:
        """The column nearest to one of the names that is none itself; blank if there is none."""
        for name in names[:MOST_NESTED]:
            if name.lower() not in self._twins and (
                near := get_close_matches(name[:255].lower(), self._twins, n=1, cutoff=0.7)
            ):
                return self._twins[near[0]][0]
        return ""
