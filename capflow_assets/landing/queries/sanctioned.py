"""What a query may consist of: parts of the tree with their attributes, functions, types, words. Pure.

All that is not named here is refused, whatever it is: other statements, hints, samples, parameters, table functions.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import MappingError
from capflow_assets.landing.queries import parsing
from capflow_assets.landing.row_expressions import vocabulary as words

if TYPE_CHECKING:
    from sqlglot import exp


def _words(*texts: str) -> frozenset[str]:
    return frozenset(word for text in texts for word in text.split())


SUMS = _words(
    "any any_value approx_count_distinct array_agg avg bit_and bit_or bit_xor bool_and bool_or collect_list "
    "collect_set corr count count_if covar_pop covar_samp every first first_value grouping grouping_id kurtosis last "
    "last_value listagg max max_by mean median min min_by mode percentile percentile_approx percentile_cont "
    "percentile_disc skewness some std stddev stddev_pop stddev_samp string_agg sum try_avg try_sum var_pop var_samp "
    "variance"
)
WINDOWS = _words("cume_dist dense_rank lag lead nth_value ntile percent_rank rank row_number")
ROWS = _words("explode explode_outer posexplode posexplode_outer")
FUNCTIONS = words.FUNCTIONS | SUMS | WINDOWS | ROWS
TYPES = _words(
    "BIGINT BINARY BOOLEAN CHAR DATE DECIMAL DOUBLE FLOAT INT SMALLINT TEXT TIMESTAMP TIMESTAMPLTZ TIMESTAMPNTZ "
    "TIMESTAMPTZ TINYINT VARCHAR"
)
UNITS = words.UNITS | words.PARTS | words.INTERVALS
NUMBER = re.compile(r"[0-9]+(?:[.][0-9]*)?(?:[eE][+-]?[0-9]+)?|[.][0-9]+(?:[eE][+-]?[0-9]+)?")
SPAN = re.compile(r"[0-9 :.+-]{1,40}")
MOST_GROWN = 100_000
MOST_TABLES = 64
LOCAL = {"to_timestamp": "to_timestamp_ntz", "make_timestamp": "make_timestamp_ntz"}
GROWING = ("pow", "power", "exp", "factorial", "shiftleft")
DO = "a query may join, filter, sum up and order the table's inputs, with functions of Spark SQL"
# Attributes that are a word of the grammar, and which.
WORDS = {
    "side": ("LEFT", "RIGHT", "FULL"),
    "kind": ("INNER", "CROSS", "OUTER", "SEMI", "ANTI", "ROWS", "RANGE"),
    "method": ("NATURAL",),
    "over": ("OVER",),
    "start": ("UNBOUNDED", "CURRENT ROW"),
    "end": ("UNBOUNDED", "CURRENT ROW"),
    "start_side": ("PRECEDING", "FOLLOWING"),
    "end_side": ("PRECEDING", "FOLLOWING"),
    "position": ("BOTH", "LEADING", "TRAILING"),
}


@cache
def _parts() -> dict[type[exp.Expr], frozenset[str]]:
    """The attributes that each part may have."""
    from sqlglot import exp

    select = "with_ expressions distinct from_ joins laterals where group having windows order limit"
    both = "this expression"
    parts: dict[type[exp.Expr], str] = {
        exp.Select: select,
        **dict.fromkeys((exp.Union, exp.Intersect, exp.Except), f"{both} with_ distinct order limit"),
        exp.Subquery: "this alias with_ order limit",
        exp.With: "expressions",
        exp.CTE: "this alias",
        exp.Table: "this alias joins laterals",
        exp.TableAlias: "this columns",
        exp.Join: "this on using side kind method",
        exp.Lateral: "this view outer alias",
        exp.Values: "expressions alias",
        exp.Group: "expressions all",
        **dict.fromkeys((exp.Rollup, exp.Cube, exp.GroupingSets, exp.Tuple, exp.Distinct, exp.Order), "expressions"),
        exp.Ordered: "this desc nulls_first",
        exp.Limit: "expression",
        exp.Alias: "this alias",
        exp.Aliases: "this expressions",
        exp.Column: "this table db catalog",
        exp.Identifier: "this quoted",
        exp.Literal: "this is_string",
        exp.Window: "this partition_by order spec alias over",
        exp.WindowSpec: "kind start start_side end end_side",
        exp.In: "this expressions query",
        exp.Between: "this low high",
        exp.Case: "this ifs default",
        exp.If: "this true false",
        **dict.fromkeys((exp.Cast, exp.TryCast), "this to safe"),
        exp.DataType: "this expressions nested",
        exp.DataTypeParam: "this",
        exp.Interval: "this unit",
        exp.IntervalSpan: both,
        exp.Trim: "this expression position",
        exp.Anonymous: "this expressions",
        exp.Lambda: "this expressions",
        exp.Bracket: "this expressions",
        exp.Is: both,
    }
    alone: tuple[type[exp.Expr], ...] = (
        exp.From, exp.Where, exp.Having, exp.Paren, exp.Not, exp.Neg, exp.BitwiseNot, exp.Exists, exp.Boolean, exp.Null,
        exp.Star, exp.Var, exp.IgnoreNulls, exp.RespectNulls, exp.Any, exp.All,
    )  # fmt: skip
    pairs: tuple[type[exp.Expr], ...] = (
        exp.And, exp.Or, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Add,
        exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.DPipe, exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor,
        exp.Like, exp.ILike, exp.RegexpLike, exp.Escape, exp.Filter, exp.WithinGroup, exp.Dot, exp.Extract,
    )  # fmt: skip
    parts |= dict.fromkeys(alone, "this")
    parts |= dict.fromkeys(pairs, both)
    flags: dict[type[exp.Expr], str] = {
        exp.Div: " typed safe",
        exp.IntDiv: " typed safe",
        exp.DPipe: " safe",
        exp.Dot: "",
    }
    return {kind: frozenset((names + flags.get(kind, "")).split()) for kind, names in parts.items()}


def judge(tree: exp.Query) -> None:
    """Refuse a tree with a part that is not sanctioned; texts in it become data, units words.

    Raises:
        MappingError: names the part.
    """
    from sqlglot import exp

    for node in list(tree.walk()):
        _judge_part(node)
    tables = sum(1 for _ in tree.find_all(exp.Table))
    if tables > MOST_TABLES:
        expected, do = f"at most {MOST_TABLES} tables", "prepare it where it is exported"
        raise MappingError("A query joins too much", expected=expected, came=f"{tables:,}", do=do)
    for node in list(tree.find_all(exp.Literal)):
        if node.is_string and not isinstance(node.parent, exp.Interval):
            node.replace(parsing.literal(node.name))


def make_times_local(tree: exp.Query, instants: Collection[str]) -> None:
    """What makes a time of something shall make a local one of it; a session's zone is nobody's.

    Only a column that has ``instants`` already, in small letters, is left one.
    """
    from sqlglot import exp

    for cast in tree.find_all(exp.Cast, exp.TryCast):
        is_instant = isinstance(cast.this, exp.Column) and cast.this.name.lower() in instants
        if cast.to.this in (exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ) and not is_instant:
            cast.set("to", exp.DataType(this=exp.DType.TIMESTAMPNTZ))
    for call in tree.find_all(exp.Anonymous):
        local = LOCAL.get(str(call.this))
        first = call.expressions[0] if call.expressions else None
        if local and not (isinstance(first, exp.Column) and first.name.lower() in instants):
            call.set("this", local)


def _judge_part(node: Any) -> None:
    from sqlglot import exp

    if isinstance(node, exp.Table) and node.args.get("db"):
        raise _outside(f"{node.db}.{node.name}")
    allowed = _parts().get(type(node))
    if allowed is None:
        raise _refusal(type(node).__name__)
    for name, value in node.args.items():
        if value is None or value is False or value == []:
            continue
        if name not in allowed:
            raise _refusal(f"{type(node).__name__} with {name.strip('_')}")
        is_plain = isinstance(value, str) and not isinstance(
            node, exp.Identifier | exp.Literal | exp.Anonymous | exp.Var
        )
        if is_plain and value.upper() not in WORDS.get(name, ()):
            raise _refusal(f"{type(node).__name__} with {name.strip('_')} {value[:40]!r}")
    if judge_kind := _KINDS.get(type(node).__name__):
        judge_kind(node)


def _judge_call(node: Any) -> None:
    from sqlglot import exp

    raw = node.this.name if isinstance(node.this, exp.Expression) else str(node.this)
    name = raw.lower() if raw.isascii() else ""
    if isinstance(node.parent, exp.Table):
        raise _outside(raw)
    if isinstance(node.parent, exp.Dot) and node.arg_key == "expression":
        raise _refusal(f"a function of a schema, {raw[:40]!r}")
    if name not in FUNCTIONS:
        raise _unknown_function(raw, name)
    node.set("this", name)
    if len(node.expressions) < words.LEAST_ARGUMENTS.get(name, 0):
        raise _refusal(f"{name}(), which {words.CHANGES},", f"give {name} the column that it shall read")
    if name in words.TAKE_UNITS and node.expressions:
        first = node.expressions[0]
        if isinstance(first, exp.Column) and len(first.parts) == 1 and first.name.upper() in words.UNITS:
            first.replace(exp.Var(this=first.name.upper()))
    if name in words.SIZES:
        _judge_size(node, name)


def _judge_size(node: Any, name: str) -> None:
    from sqlglot import exp

    numbers = [literal.name for literal in node.find_all(exp.Literal)]
    sizes = [float(number) for number in numbers if NUMBER.fullmatch(number)]
    calls = [str(call.this).lower() for call in node.find_all(exp.Anonymous) if call is not node]
    grows = any(call in words.SIZES or call in GROWING for call in calls) or any(node.find_all(exp.Mul))
    if grows or max(sizes, default=0) > MOST_GROWN:
        expected = f"numbers of at most {MOST_GROWN:,} in it, plainly written"
        raise MappingError(f"A query makes too much by {name}", expected=expected, do="write a smaller number")


def _unknown_function(raw: str, name: str) -> MappingError:
    if reason := words.REASONS.get(name):
        return _refusal(f"{raw!r}, which {reason},")
    near = get_close_matches(name, FUNCTIONS, n=3, cutoff=0.7)
    do = f"did you mean {' or '.join(near)}?" if near else DO
    return MappingError("A query uses a function that it may not", expected=DO, came=repr(raw[:64]), do=do)


def _judge_table(node: Any) -> None:
    from sqlglot import exp

    if not isinstance(node.this, exp.Identifier):
        raise _outside(type(node.this).__name__)


def _judge_type(node: Any) -> None:
    from sqlglot import exp

    kind = node.this
    if not isinstance(kind, exp.DType) or kind.name not in TYPES or node.args.get("nested"):
        raise _refusal(f"the type {str(getattr(kind, 'name', kind))[:40]!r}", "cast to plain types: double, date, …")


def _judge_literal(node: Any) -> None:
    from sqlglot import exp

    text = str(node.this)
    if not node.is_string and not NUMBER.fullmatch(text):
        raise _refusal(f"the number {text[:40]!r}")
    if isinstance(node.parent, exp.Interval) and not SPAN.fullmatch(text):
        raise _refusal(f"the interval {text[:40]!r}")


def _judge_word(node: Any) -> None:
    if str(node.this).upper() not in UNITS:
        raise _refusal(f"the word {str(node.this)[:40]!r}")


def _judge_interval(node: Any) -> None:
    from sqlglot import exp

    if not isinstance(node.this, exp.Literal):
        raise _refusal("an interval that is no number", "write interval 7 days")


def _judge_lateral(node: Any) -> None:
    from sqlglot import exp

    inner = node.this
    is_rows = isinstance(inner, exp.Anonymous) and str(inner.this).lower() in ROWS
    if not (is_rows or isinstance(inner, exp.Subquery)):
        raise _refusal("LATERAL with something else than explode", f"use one of {', '.join(sorted(ROWS))}")


_KINDS = {
    "Anonymous": _judge_call,
    "Table": _judge_table,
    "DataType": _judge_type,
    "Literal": _judge_literal,
    "Var": _judge_word,
    "Interval": _judge_interval,
    "Lateral": _judge_lateral,
}


def _refusal(what: str, do: str = DO) -> MappingError:
    return MappingError(f"A query uses {what.rstrip(',')}, which is not allowed", do=do)


def _outside(received: str) -> MappingError:
    do = "declare what it shall read as an input: [tables.….inputs.NAME] with source and location"
    return MappingError("A query reads what is none of its inputs", came=repr(received[:64]), do=do)
