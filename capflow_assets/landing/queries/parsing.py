"""From a query's text to sqlglot's tree, and from a judged tree to the SQL that an engine gets. Pure.

Functions stay as they were written: what the library makes of them is not always what Spark does. So do operators: the
tree is spelled in the order of the text, with its parentheses and no others, and Spark alone says how they bind.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import MappingError
from capflow_assets.landing.row_expressions.lexing import unescaped
from capflow_assets.landing.row_expressions.tree import Text
from capflow_assets.landing.row_expressions.tree import spelled as spelled_text

if TYPE_CHECKING:
    from sqlglot import exp

MOST_CHARACTERS, MOST_NODES, MOST_DEEP = 20_000, 4_000, 120
SHOWN_CHARACTERS = 200
DO = "write one SELECT over the table's inputs, with WITH, joins, sums and windows as it needs"


def parsed(text: str) -> exp.Query:
    """The tree of a text that is one query.

    Raises:
        MappingError: it is none, several, too long or nested too deep.
    """
    from sqlglot import exp
    from sqlglot.errors import ErrorLevel, SqlglotError

    if len(text) > MOST_CHARACTERS:
        expected, received = f"at most {MOST_CHARACTERS:,} characters", f"{len(text):,} characters"
        raise MappingError(
            "A query is too long", expected=expected, came=received, do="prepare it where it is exported"
        )
    try:
        tokens = _tokens(text)
        if not tokens or tokens[0].text.upper() not in ("SELECT", "WITH", "(", "FROM"):
            raise MappingError("A query is no SELECT", came=_shown(text), do=DO)
        trees = _dialect().parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, text)
    except SqlglotError as error:
        where = getattr(error, "errors", [])
        received = (
            f"line {where[0]['line']}, column {where[0]['col']}: {where[0]['description']}" if where else str(error)
        )
        received = received[:SHOWN_CHARACTERS]
        raise MappingError("A query cannot be read", expected="Spark SQL", came=received, do=DO) from None
    except RecursionError:
        raise _too_deep() from None
    statements = [tree for tree in trees if tree is not None]
    if len(statements) != 1:
        raise MappingError("A query is more than one statement", came=f"{len(statements)} of them", do=DO)
    (tree,) = statements
    if not isinstance(tree, exp.Query):
        raise MappingError("A query is no SELECT", came=_shown(text), do=DO)
    _refuse_large(tree)
    return tree


def spelled(tree: exp.Query) -> str:
    """The SQL of a judged tree, all names in backquotes, without comments."""
    try:
        text: str = tree.sql(dialect=_dialect(), identify=True, comments=False, normalize_functions=False)
    except RecursionError:
        raise _too_deep() from None
    return text


def literal(text: str) -> exp.Var:
    """A text as data: spelled so that nothing can be read into it."""
    from sqlglot import exp

    return exp.Var(this=spelled_text(Text(text)))


def _refuse_large(tree: exp.Query) -> None:
    depths, count = [(tree, 0)], 0
    while depths:
        node, depth = depths.pop()
        count += 1
        if depth > MOST_DEEP:
            raise _too_deep()
        if count > MOST_NODES:
            do = "prepare it where it is exported"
            raise MappingError("A query is too large", expected=f"at most {MOST_NODES:,} parts", came="more", do=do)
        # A chain of operators is no nesting: engines follow it without going deeper.
        depths += [(child, depth + 1) for child in node.iter_expressions()]


def _too_deep() -> MappingError:
    expected = f"at most {MOST_DEEP} levels of parentheses, functions and selects"
    return MappingError("A query is nested too deep", expected=expected, do="name parts of it by WITH")


def _shown(text: str) -> str:
    return repr(text[:SHOWN_CHARACTERS] + (" …" if len(text) > SHOWN_CHARACTERS else ""))


def _tokens(text: str) -> list[Any]:
    """The library's tokens, texts read as Spark reads them: escapes, raw ones, a quote that is doubled."""
    from sqlglot.tokens import TokenType

    tokens: list[Any] = []
    for token in _dialect().tokenize(text):
        written = text[token.start : token.end + 1]
        if token.token_type == TokenType.STRING:
            token.text = unescaped(written[1:-1])
        elif token.token_type == TokenType.RAW_STRING:
            token.token_type, token.text = TokenType.STRING, written[2:-1]
        before = tokens[-1] if tokens else None
        if before is not None and before.token_type == token.token_type == TokenType.STRING:
            is_doubled = before.end + 1 == token.start and text[before.end] == text[token.start]
            before.text += (text[token.start] if is_doubled else "") + token.text
            before.end = token.end
        else:
            tokens.append(token)
    return tokens


@cache
def _dialect() -> Any:
    """Spark's, in which a function is a name and its arguments."""
    from sqlglot import exp
    from sqlglot.dialects.spark import Spark

    parsers = Spark.Parser
    generators = Spark.Generator

    class QueryParser(parsers):  # type: ignore[misc, valid-type]
        FUNCTIONS: dict[str, Any] = {}  # noqa: RUF012
        FUNCTION_PARSERS = {  # noqa: RUF012
            name: parsers.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST", "EXTRACT", "TRIM")
        }
        NO_PAREN_FUNCTIONS: dict[Any, Any] = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {"CASE": parsers.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012

    class QueryGenerator(generators):  # type: ignore[misc, valid-type]
        TRANSFORMS = {  # noqa: RUF012
            **generators.TRANSFORMS,
            exp.Not: _negated,
            exp.NullSafeEQ: lambda self, node: self.binary(node, "<=>"),
        }

    class CapflowQuery(Spark):
        Parser = QueryParser
        Generator = QueryGenerator

    return CapflowQuery()


def _negated(generator: Any, node: exp.Not) -> str:
    """``a is not null`` as it was written: before ``a`` the NOT would bind to more than that."""
    from sqlglot import exp

    inner = node.this
    if isinstance(inner, exp.Is):
        return f"{generator.sql(inner, 'this')} IS NOT {generator.sql(inner, 'expression')}"
    text: str = f"NOT {generator.sql(inner)}"
    return text
