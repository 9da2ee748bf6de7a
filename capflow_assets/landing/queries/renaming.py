"""Every name of a query becomes one that nobody can guess: of inputs, columns, and what the query itself names. Pure.

One old name has one new name, wherever it stands, so that a query means what it meant, scopes and shadowing included,
without anybody having to know the scopes. A name that is out of its scope leads nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import MappingError, listed, nearest
from capflow_assets.landing.row_expressions import tree as row_tree

if TYPE_CHECKING:
    from sqlglot import exp

STRUCTS = ("struct", "named_struct")


def judge_tables(tree: exp.Query, inputs: Collection[str]) -> None:
    """Refuse a query that reads something else than its inputs and what it names by WITH.

    Raises:
        MappingError: names the table, and those that there are.
    """
    from sqlglot import exp

    named = {subquery.alias.lower(): subquery.alias for subquery in tree.find_all(exp.CTE)}
    for name in inputs:
        if name.lower() in named:
            do = "choose another name behind WITH"
            raise MappingError("A query names a part as an input is called", came=repr(named[name.lower()]), do=do)
    known = {name.lower() for name in inputs} | set(named)
    for table in tree.find_all(exp.Table):
        if table.name.lower() not in known:
            near = nearest(table.name, [*inputs, *named.values()])
            do = f"did you mean {near!r}?" if near else "declare it: [tables.….inputs.NAME] with source and location"
            expected = f"inputs: {listed(sorted(inputs))}"
            received = repr(table.name[:64])
            raise MappingError("A query reads what is none of its inputs", expected=expected, came=received, do=do)
    for name in inputs:
        if not any(table.name.lower() == name.lower() for table in tree.find_all(exp.Table)):
            do = "read it, or take it out"
            raise MappingError("A query does not read one of its inputs", came=repr(name), do=do)


def judge_outputs(tree: exp.Query) -> None:
    """Refuse a query of which a column has no name of its own.

    Raises:
        MappingError: shows the column.
    """
    from sqlglot import exp

    for column in _outermost(tree).expressions:
        if not isinstance(column, exp.Alias | exp.Aliases | exp.Column | exp.Star):
            do = "give it a name: sum(amount) as amount"
            raise MappingError("A query gives a column without a name", came=repr(column.sql()[:80]), do=do)


def renamed(tree: exp.Query, inputs: Mapping[str, Sequence[str]], prefix: str) -> tuple[dict[str, str], dict[str, str]]:
    """Rename a judged tree in place: the new name of each old one, in small letters, and the old of each new one.

    Raises:
        MappingError: a column is none of the inputs' and none that the query names.
    """
    names: dict[str, str] = {}
    shown: dict[str, str] = {}

    def new(old: str) -> str:
        if old.lower() not in names:
            names[old.lower()] = f"{prefix}_{len(names)}"
            shown[names[old.lower()]] = old
        return names[old.lower()]

    for spelling in (*inputs, *(column for columns in inputs.values() for column in columns)):
        new(spelling)
    declared = list(_declared(tree))
    columns = {column.lower() for of_input in inputs.values() for column in of_input}
    columns |= {identifier.name.lower() for identifier, is_table in declared if not is_table}
    tables = {name.lower() for name in inputs} | {
        identifier.name.lower() for identifier, is_table in declared if is_table
    }
    spellings = [column for of_input in inputs.values() for column in of_input]
    for identifier in list(
        _identifiers(tree, tables, columns, [*spellings, *(identifier.name for identifier, _ in declared)])
    ):
        identifier.set("this", new(identifier.name))
        identifier.set("quoted", True)
    for field in _fields(tree):
        _ = row_tree.quoted(field.name)
        field.set("quoted", True)
    for column in _outermost(tree).expressions:
        for alias in column.find_all(_identifier_type()):
            if alias.parent is column and alias.arg_key in ("alias", "expressions"):
                shown[alias.name] = alias.meta.get("written", shown[alias.name])
    return names, shown


def _declared(tree: exp.Query) -> Iterator[tuple[Any, bool]]:
    """The names that a query itself gives, and whether that is one of a table or a window."""
    from sqlglot import exp

    for identifier in tree.find_all(exp.Identifier):
        parent, key = identifier.parent, identifier.arg_key
        identifier.meta["written"] = identifier.name
        is_listed = isinstance(parent, exp.Aliases | exp.Lambda) and key == "expressions"
        if isinstance(parent, exp.TableAlias):
            yield identifier, key == "this"
        elif isinstance(parent, exp.Window) and key == "this":
            yield identifier, True
        elif is_listed or (isinstance(parent, exp.Alias) and not _is_field(identifier)):
            yield identifier, False


def _identifiers(
    tree: exp.Query, tables: Collection[str], columns: Collection[str], known: Sequence[str]
) -> Iterator[Any]:
    """All that has to be renamed."""
    from sqlglot import exp

    for column in tree.find_all(exp.Column):
        yield from _of_column(column, tables, columns, known)
    for identifier in tree.find_all(exp.Identifier):
        if isinstance(identifier.parent, exp.Column) or _is_field(identifier):
            continue
        is_named = identifier.name.lower() in (*tables, *columns)
        if not is_named:
            raise _unknown(identifier.name, known)
        yield identifier


def _of_column(column: Any, tables: Collection[str], columns: Collection[str], known: Sequence[str]) -> list[Any]:
    """The parts of a column's name that are no fields of its value: ``table``, ``column``, or both."""
    from sqlglot import exp

    parts = list(column.parts)
    first = parts[0].name.lower()
    if isinstance(parts[-1], exp.Star):
        if len(parts) != 2 or first not in tables:
            raise _unknown(parts[0].name, sorted(tables))
        return parts[:1]
    if len(parts) > 1 and first in tables and parts[1].name.lower() in columns:
        chosen = parts[:2]
    elif first in columns:
        chosen = parts[:1]
    else:
        raise _unknown(parts[1].name if len(parts) > 1 and first in tables else parts[0].name, known)
    for field in parts[len(chosen) :]:
        field.meta["field"] = True
    return chosen


def _is_field(identifier: Any) -> bool:
    """Whether a name is that of a part of a value."""
    from sqlglot import exp

    parent = identifier.parent
    if isinstance(parent, exp.Dot):
        return bool(identifier.arg_key == "expression")
    call = parent.parent if isinstance(parent, exp.Alias) else None
    return isinstance(call, exp.Anonymous) and str(call.this).lower() in STRUCTS


def _fields(tree: exp.Query) -> Iterator[Any]:
    for identifier in tree.find_all(_identifier_type()):
        if _is_field(identifier) or identifier.meta.get("field"):
            yield identifier


def _outermost(tree: Any) -> Any:
    """The select whose columns the query gives: of several that are united, the first."""
    from sqlglot import exp

    while not isinstance(tree, exp.Select):
        if not isinstance(tree, exp.SetOperation | exp.Subquery):
            raise MappingError("A query is no SELECT", do="begin it with SELECT or WITH")
        tree = tree.this
    return tree


def _identifier_type() -> Any:
    from sqlglot import exp

    return exp.Identifier


def _unknown(name: str, known: Sequence[str]) -> MappingError:
    near = nearest(name, known)
    do = f"did you mean {near!r}?" if near else "name one of them, or name what the query makes by AS"
    expected = f"a column of the inputs: {listed(dict.fromkeys(known), most=60)}"
    return MappingError("A query names a column that there is not", expected=expected, came=repr(name[:64]), do=do)
