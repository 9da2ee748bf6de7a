"""Text in the place of a number, as columns of CSV are: Spark reads it as one, the embedded engine not always. Pure.

It is cast here, so that both engines do the same: ``x * 2`` is ``cast(x as double) * 2``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions whose first argument is a number.
OF_NUMBERS = _words(
    "abs avg bround ceil ceiling exp floor ln log10 log2 mean median percentile percentile_approx round sign signum "
    "sqrt std stddev stddev_pop stddev_samp sum try_avg try_sum var_pop var_samp variance"
)


def cast_texts(tree: exp.Query, texts: Collection[str]) -> None:
    """Cast the ``texts`` (columns in small letters that are text in every input) where only a number can stand.

    A name that a part of the query gives to something is left alone: that may be of any type.
    """
    from sqlglot import exp

    # What the outermost SELECT calls as a column is called, x * 2 as x, does not hide it.
    aliases = (alias for alias in tree.find_all(exp.Alias) if alias.find_ancestor(exp.CTE, exp.Subquery))
    named = {alias.alias.lower() for alias in aliases}
    named |= {
        column.name.lower() for alias in tree.find_all(exp.TableAlias) for column in alias.args.get("columns") or ()
    }
    named |= {name.name.lower() for names in tree.find_all(exp.Aliases, exp.Lambda) for name in names.expressions}
    chosen = set(texts) - named
    for column in list(_numbers(tree)):
        if isinstance(column, exp.Column) and len(column.parts) <= 2 and column.name.lower() in chosen:
            column.replace(exp.Cast(this=column.copy(), to=exp.DataType(this=exp.DType.DOUBLE)))


def _numbers(tree: exp.Query) -> Iterator[Any]:
    """All that stands where a number has to."""
    from sqlglot import exp

    yield from (node.this for node in tree.find_all(exp.Neg))
    for node in tree.find_all(*_arithmetic()):
        if not any(isinstance(operand, exp.Interval) for operand in (node.this, node.expression)):
            yield from (node.this, node.expression)
    yield from _beside_numbers(tree)
    for call in tree.find_all(exp.Anonymous):
        if str(call.this).lower() in OF_NUMBERS and call.expressions:
            yield call.expressions[0]


def _beside_numbers(tree: exp.Query) -> Iterator[Any]:
    """What is compared with numbers."""
    from sqlglot import exp

    for node in tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE):
        if _is_number(node.this) or _is_number(node.expression):
            yield from (node.this, node.expression)
    for among in tree.find_all(exp.Between, exp.In):
        others = among.expressions if isinstance(among, exp.In) else [among.args["low"], among.args["high"]]
        if others and all(map(_is_number, others)):
            yield among.this


def _is_number(node: Any) -> bool:
    from sqlglot import exp

    if isinstance(node, exp.Neg | exp.Paren):
        return _is_number(node.this)
    return (isinstance(node, exp.Literal) and not node.is_string) or isinstance(node, exp.Mul | exp.Div | exp.Mod)


def _arithmetic() -> tuple[type[exp.Expr], ...]:
    from sqlglot import exp

    return exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod
