"""Columns that ``USING`` merges: one engine knows them by their own name alone, Spark by a table's too. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp


def name_alone(tree: exp.Query) -> None:
    """Write ``o.id`` as ``id`` where every join of its select merges ``id``, and both are the same for every row."""
    from sqlglot import exp

    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        merged = [{column.name.lower() for column in join.args.get("using") or ()} for join in joins]
        if not merged or not (names := set.intersection(*merged)):
            continue
        source = select.args["from_"].this
        for column in list(select.find_all(exp.Column)):
            is_own = column.find_ancestor(exp.Select) is select
            if is_own and len(column.parts) == 2 and column.name.lower() in names and _is_same(column, source, joins):
                column.set("table", None)


def _is_same(column: Any, source: Any, joins: list[Any]) -> bool:
    """Whether the merged column is that of the table that a name gives: inner joins make all equal."""
    sides = {str(join.args.get("side") or "").upper() for join in joins}
    return sides == {""} or (sides <= {"", "LEFT"} and column.table.lower() == source.alias_or_name.lower())
