"""A customer's query over the declared inputs of one of its tables: read, held to what it may be, and spelled anew.

Belongs here: what a ``query`` of a TOML may compute. Sessions are shared, so the text itself never reaches an engine.
    parsing     from text to sqlglot's tree; texts are unescaped as Spark does
    sanctioned  which parts of a tree, functions and types there may be; what is not named there is refused
    merged_columns  how columns are called that USING merges
    text_numbers    text is read as a number where only one can stand
    renaming    every name (inputs, columns, what the query itself names) becomes one that nobody can guess
What runs is spelled from the judged tree, in which every table and column has a name of this one landing: a table, a
view, a file or a session's variable of anybody else has none of these, whatever the engine looks for where.
Does not belong here: reading the inputs, running (``tables.query_rows``). Pure; libraries are loaded when needed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from capflow_assets.errors import MappingError


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query in names of its own. ``names`` gives the new name of each old one, by its small letters.

    ``shown`` gives the old name, as it was written, of each new one. The query's columns have new names.
    """

    text: str
    names: Mapping[str, str]
    shown: Mapping[str, str]

    def words(self, text: str) -> str:
        """A text of the engine's, with the old names in the place of the new ones.

        >>> JudgedQuery("", {"total": "q1_2"}, {"q1_2": "Total"}).words("no q1_2, no q1_23")
        'no Total, no q1_23'
        """
        return re.sub(r"q\w+", lambda match: self.shown.get(match[0], match[0]), text)


def problem(text: str, inputs: Collection[str]) -> MappingError | None:
    """What is wrong with a query before the columns of its inputs are known; None where nothing is.

    >>> problem("select order_id, sum(amount) as paid from payments group by order_id", ["payments"]) is None
    True
    >>> print(str(problem("select * from csv.`/etc/passwd`", ["payments"])).splitlines()[0])
    A query reads what is none of its inputs.
    """
    from capflow_assets.landing.queries import parsing, renaming, sanctioned

    try:
        tree = parsing.parsed(text)
        sanctioned.judge(tree)
        renaming.judge_tables(tree, inputs)
        renaming.judge_outputs(tree)
    except MappingError as error:
        return error
    return None


def judged(
    text: str,
    inputs: Mapping[str, Sequence[str]],
    prefix: str,
    instants: Collection[str] = (),
    texts: Collection[str] = (),
) -> JudgedQuery:
    """A query over inputs, whose columns are given, in names that begin with ``prefix``: a ``q`` and random letters.

    Times that it makes of text are local ones, as mappings take them; columns called as the ``instants`` stay such.
    Those called as the ``texts`` are read as numbers where only a number can stand. Both are in small letters.

    Raises:
        MappingError: says which part may not be in a query, or which name there is not, and what to write instead.
    """
    from capflow_assets.landing.queries import merged_columns, parsing, renaming, sanctioned, text_numbers

    tree = parsing.parsed(text)
    sanctioned.judge(tree)
    renaming.judge_tables(tree, inputs)
    renaming.judge_outputs(tree)
    sanctioned.make_times_local(tree, instants)
    text_numbers.cast_texts(tree, texts)
    merged_columns.name_alone(tree)
    names, shown = renaming.renamed(tree, inputs, prefix)
    return JudgedQuery(parsing.spelled(tree), names, shown)
