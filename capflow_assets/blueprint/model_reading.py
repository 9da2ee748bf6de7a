"""Read a model file: what it declares, checked against the tables there are.

All that is wired wrongly is refused here, at load, with a ``GraphError``: at night it would be a model that learns from
less than its author thinks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from types import ModuleType
from typing import Any

from capflow_assets.blueprint.edges import choice_of, edges_of
from capflow_assets.blueprint.specs import ANSWERS, AS_OF, PARAMS, Call, ModelSpec, TableSpec
from capflow_assets.contract import USER, Model, Reads
from capflow_assets.errors import GraphError
from capflow_assets.learning.measures import MEASURES

WINDOW = frozenset({"start", "end"})
# What is asked of every model; a rule of one's own has another name.
CONDITIONS = frozenset(
    {"ready", "promotion", "coverage", "beats_baseline", "enough", "holds_against_champion", "leakage"}
)


def read_models(modules: Mapping[str, ModuleType], tables: Mapping[str, TableSpec]) -> dict[str, ModelSpec]:
    """The models that files declare, by their names.

    Raises:
        GraphError: a file declares none, or one that cannot be wired, or models read each other's answers.
    """
    declared = {name: getattr(module, "MODEL", None) for name, module in modules.items()}
    answers = {f"{ANSWERS}{name}": model for name, model in declared.items() if isinstance(model, Model)}
    specs = {name: read_model(name, module, tables, answers) for name, module in modules.items()}
    waits = {key: sorted(parents) for spec in specs.values() for key, parents in spec.edges.items()}
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        raise GraphError("Models read each other's answers", came=" -> ".join(error.args[1])) from None
    return specs


def read_model(
    name: str,
    module: ModuleType,
    tables: Mapping[str, TableSpec],
    answers: Mapping[str, Model[Any]] | None = None,
) -> ModelSpec:
    """The model that a file declares; ``answers`` are the models whose predictions it may read, by those tables.

    Raises:
        GraphError: it declares none, or one that cannot be wired.
    """
    model = getattr(module, "MODEL", None)
    if not isinstance(model, Model):
        raise GraphError(f"models/{name}.py declares no model", expected="MODEL = Model(...)", where=module.__name__)
    try:
        _check_needs(model, tables)
        _check_candidates(model)
        _check_rules(model)
        _check_reads(model, tables, answers or {})
        _check_positives(model)
        return ModelSpec(
            name,
            model,
            module,
            _call(name, model.outcome.compute, tables, WINDOW),
            _optional_call(name, model.subject.known, tables),
            _optional_call(name, model.subject.events, tables),
        )
    except GraphError as error:
        raise error.at(module.__name__) from None


def _call(
    name: str, function: Callable[..., Any], tables: Mapping[str, TableSpec], values: frozenset[str] = frozenset()
) -> Call:
    return Call(function, *edges_of("models", name, function, tables, also=values | {PARAMS}))


def _optional_call(name: str, function: Callable[..., Any] | None, tables: Mapping[str, TableSpec]) -> Call | None:
    return None if function is None else _call(name, function, tables)


def _check_needs(model: Model[Any], tables: Mapping[str, TableSpec]) -> None:
    first = model.answers_from
    learns = model.fitted != "now" or model.subject.events is not None
    if first is not None and (learns or set(first.tables) - set(model.needs.tables)):
        raise GraphError(
            "A model that must be judged answers before it can be",
            expected='answers_from only of a model fitted to "now", of tables among its needs',
            came=f"fitted to {model.fitted!r}, answers_from of {', '.join(first.tables)}",
        )
    for table in model.needs.tables:
        if table not in tables:
            do = choice_of("table", table, tables)
            raise GraphError("A model needs a table that does not exist", came=table, do=do)
    for measure in model.needs.evidence:
        if measure not in MEASURES:
            do = choice_of("measure", measure, MEASURES)
            raise GraphError("A model needs evidence of no known measure", came=measure, do=do)


def _check_positives(model: Model[Any]) -> None:
    """Users with the outcome are counted where outcomes are of users; else a model would wait for them for ever."""
    if model.subject.key != USER.key and model.needs.positives:
        raise GraphError(
            f"A model of each {model.subject.name} needs users with the outcome, whom nobody counts for it",
            expected="needs of positives only where each subject is a user",
            came=f"positives={model.needs.positives}",
            do="name other evidence (Needs.evidence)",
        )


def _check_candidates(model: Model[Any]) -> None:
    names = [candidate.name for candidate in model.candidates]
    baselines = [candidate.name for candidate in model.candidates if candidate.is_baseline]
    if len(baselines) != 1 or len(names) < 2 or len(set(names)) < len(names):
        raise GraphError(
            "A model has no one baseline to beat",
            expected="candidates of different names, one of them with is_baseline=True, and at least one other",
            came=f"{', '.join(names) or 'no candidates'}; baselines: {', '.join(baselines) or 'none'}",
        )
    if not model.outcome.columns:
        raise GraphError("A model's outcome has no columns", expected="the names of what its outcome computes")


def _check_rules(model: Model[Any]) -> None:
    names = Counter(rule.name for rule in model.rules)
    taken = sorted(name for name, count in names.items() if count > 1 or name in CONDITIONS)
    if taken:
        raise GraphError(
            "A model's rule has a name that is taken",
            expected=f"a name of its own, and none of {', '.join(sorted(CONDITIONS))}",
            came=", ".join(taken),
        )


def _check_reads(model: Model[Any], tables: Mapping[str, TableSpec], answers: Mapping[str, Model[Any]]) -> None:
    if not model.reads:
        raise GraphError("A model reads no table", expected='reads=(Reads("features/rfm", ("visits",)),)', came="none")
    for table, count in Counter(model.tables).items():
        if count > 1:
            raise GraphError("A model reads a table twice", expected="one Reads a table", came=table)
    for reads in model.reads:
        if reads.table in answers:
            _check_answers(model, reads, answers[reads.table])
            continue
        if reads.table not in tables:
            do = choice_of("table", reads.table, [*tables, *answers])
            raise GraphError("A model reads a table that does not exist", came=reads.table, do=do)
        _check_columns(reads, tables[reads.table])
        if reads.optional and reads.form != "frame":
            raise GraphError("A model joins an optional table", expected='form="frame"', came=reads.table)
        if reads.form == "joined":
            _check_join(model, reads, tables[reads.table])
    _check_distinct(model)
    _check_subject(model, tables)


def _check_columns(reads: Reads, spec: TableSpec) -> None:
    """A column that no block has would be left out without a word, and the model would learn from fewer."""
    unknown = [name for name in reads.columns if name not in spec.table.names]
    if unknown and not spec.table.open:
        do = choice_of(f"column of {reads.table}", unknown[0], spec.table.names)
        raise GraphError(f"A model reads columns that {reads.table} does not have", came=", ".join(unknown), do=do)


def _check_answers(model: Model[Any], reads: Reads, other: Model[Any]) -> None:
    """What another model answered is read as it was kept."""
    unknown = [name for name in reads.columns if name not in other.kept_columns]
    if unknown:
        raise GraphError(
            f"A model reads columns of {reads.table} that are not kept",
            expected=f"some of {', '.join(other.kept_columns) or 'none, since vectors are not kept'}",
            came=", ".join(unknown),
        )
    key = {*other.subject.key, *other.answer.per}
    if reads.form == "joined" and not (reads.columns and key <= set(model.subject.key)):
        raise GraphError(
            f"{reads.table} cannot be joined to a model's subjects",
            expected=f"columns of answers by {' and '.join(model.subject.key)}",
            came=f"{', '.join(reads.columns) or 'no columns'} by {' and '.join(sorted(key))}",
            do='read it whole: form="frame"',
        )


def _check_join(model: Model[Any], reads: Reads, spec: TableSpec) -> None:
    key = set(spec.table.key) - {AS_OF}
    if spec.stage != "features" or not key or not key <= set(model.subject.key):
        raise GraphError(
            f"{reads.table} cannot be joined to a model's subjects",
            expected=f"a feature table with one row per {' and '.join(model.subject.key)}, or one of them",
            came=f"the key {', '.join(spec.table.key) or '(none)'}",
            do='choose another table, or read it whole: form="frame"',
        )
    if not reads.columns:
        raise GraphError(f"A model joins {reads.table} and names no column of it", expected="columns=(…)")


def _check_distinct(model: Model[Any]) -> None:
    blocks = {name: ["the subject's key"] for name in (*model.subject.key, AS_OF)}
    for reads in model.joined:
        for column in reads.columns:
            blocks.setdefault(column, []).append(reads.table)
    for column, names in blocks.items():
        if len(names) > 1:
            raise GraphError(
                "A model reads two columns of one name", expected="one of them", came=f"{column} of {', '.join(names)}"
            )


def _key(tables: Mapping[str, TableSpec], reads: Reads) -> set[str]:
    return set(tables[reads.table].table.key) - {AS_OF} if reads.table in tables else set()


def _check_subject(model: Model[Any], tables: Mapping[str, TableSpec]) -> None:
    subject = model.subject
    if not subject.key:
        raise GraphError("A model's subject has no key", expected='key=("user_id",)')
    if subject.known is None and (not model.joined or _key(tables, model.joined[0]) != set(subject.key)):
        raise GraphError(
            f"Nobody says which {subject.plural} a model answers for",
            expected=f"a first joined block of one row per {', '.join(subject.key)}, or a function Subject.known",
            came=f"the reads {', '.join(model.tables)}",
        )
    clashing = sorted(set(subject.key) & set(model.answer.per))
    if clashing:
        raise GraphError("A model's answers are told apart by its subject's own key", came=", ".join(clashing))
    if set(model.metric.unit) - set(subject.key):
        raise GraphError(
            "A metric's unit is no part of the subject's key",
            expected=f"some of {', '.join(subject.key)}",
            came=", ".join(model.metric.unit),
        )
