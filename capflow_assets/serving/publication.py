"""From the lake to the store that online answers are looked up in: last answers, features and visits, a blob each.

The night publishes what it has scored, of the customers that are served; the server publishes what it finds newer in
the lake, for homes whose nights run elsewhere. Both do nothing where the store is of the same version of a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.contract import Model, Reads
from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.life.menus import ALL, offering
from capflow_assets.serving.histories import HISTORIES, follows_visits, publish_histories
from capflow_assets.serving.outcomes import FAILED
from capflow_assets.serving.tokens import is_served
from capflow_assets.stores.answer_store import ANSWERS, FEATURES
from capflow_assets.stores.answer_stores import Answers, answers_of
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.table_damage import named_if_damaged

if TYPE_CHECKING:
    import pyarrow as pa

# What holds for a whole table is kept once, not with each subject.
OF_THE_TABLE = ("model_version", "rung", "as_of")
# So many of what most subjects are recommended stand for a subject of whom nothing else is known.
TYPICAL_ROWS = 20
MOST_COUNTED = 200_000


def publish_night(deployment: Deployment, customer: str, model: str) -> str:
    """Publish what a night has scored of one model, where the customer is served; what went wrong, in words.

    The last answers stay where it fails: the predictions are in the lake, and a server publishes them later.
    """
    if not is_served(deployment.home, customer):
        return ""
    try:
        declared, store = deployment.customer(customer), answers_of(deployment.home, customer)
        with store.writing():
            _publish_answers(deployment, store, declared, model)
            _publish_features(deployment, store, declared)
            if follows_visits(deployment.stages.model(model)):
                publish_histories(deployment, store, declared)
    except Exception as error:  # whatever a table can be broken by: the night itself is whole
        return f"online answers of {model} are still the last ones: {_words(error)}"
    return ""


def publish(deployment: Deployment, customer: str) -> dict[str, str]:
    """Publish all that is newer in the lake than in the store; by table what was done or went wrong."""
    from capflow_assets.serving.converted import CONVERTED
    from capflow_assets.serving.converting import convert_champions

    declared, store = deployment.customer(customer), answers_of(deployment.home, customer)
    done: dict[str, str] = {}
    with store.writing():
        for model in deployment.stages.models:
            _tried(done, f"{ANSWERS}{model}", lambda name=model: _publish_answers(deployment, store, declared, name))
        _tried(done, FEATURES, lambda: _publish_features(deployment, store, declared))
        _tried(done, HISTORIES, lambda: publish_histories(deployment, store, declared))
        _tried(done, CONVERTED, lambda: convert_champions(deployment, store, declared), unit="versions")
    return done


def _tried(done: dict[str, str], table: str, work: Any, unit: str = "subjects") -> None:
    try:
        count = work()
    except Exception as error:  # one table that is broken in whatever way leaves the others
        done[table] = f"{FAILED}{_words(error)}"
    else:
        if count is not None:
            done[table] = f"{count:,} {unit}"


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, CapflowError) else f"{type(error).__name__}: {error}"


def _publish_answers(deployment: Deployment, store: Answers, customer: Customer, model: str) -> int | None:
    lake, name = deployment.lake, f"{ANSWERS}{model}"
    source = _source(lake, customer.name, f"predictions/{model}")
    if not source or not customer.has_model(model):
        store.drop(name)
        return None
    if store.has(name, source):
        return None
    answers = PublishedAnswers(deployment.stages.model(model).model)
    dataset = lake.delta(customer.name, f"predictions/{model}").to_pyarrow_dataset()
    path = lake.path(customer.name, f"predictions/{model}")
    with named_if_damaged(customer.name, f"predictions/{model}", path):
        batches = dataset.scanner(batch_readahead=2, fragment_readahead=1).to_reader()
        return store.replace(name, source, answers.blobs(batches), answers.facts)


@dataclass(slots=True)
class PublishedAnswers:
    """The answers of one model as blobs; ``facts`` of all of them are whole when the last blob was read."""

    model: Model[Any]
    facts: dict[str, Any] = field(default_factory=dict)
    _tops: dict[str, float] = field(default_factory=dict)
    _scores: list[float] = field(default_factory=list)
    _listed: Counter[tuple[Any, ...]] = field(default_factory=Counter)

    def blobs(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, bytes]]:
        """A subject's id and one of its rows as JSON, in the order of the batches."""
        import orjson

        subject, *rest = self.model.subject.key
        self.facts |= {"shape": self.model.answer.shape, "per": [*rest, *self.model.answer.per]}
        for batch in batches:
            if batch.num_rows and "as_of" not in self.facts:
                self.facts |= {
                    name: _plain(batch.column(name)[0].as_py()) for name in OF_THE_TABLE if name in batch.schema.names
                }
            names = [name for name in batch.schema.names if name not in (subject, *OF_THE_TABLE)]
            columns = [batch.column(name).to_pylist() for name in names]
            for key, *values in zip(batch.column(subject).to_pylist(), *columns, strict=True):
                row = dict(zip(names, values, strict=True))
                self._count(row)
                yield str(key), orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS)
        self._conclude()

    def _count(self, row: dict[str, Any]) -> None:
        score = row.get("score")
        if score is None or score != score:
            return
        if self.model.answer.shape == "list":
            if len(self._listed) < MOST_COUNTED:
                self._listed[tuple(row[name] for name in self.facts["per"])] += 1
            return
        self._scores.append(score)
        band = row.get("band")
        if band is not None:
            self._tops[band] = max(score, self._tops.get(band, score))

    def _conclude(self) -> None:
        """The top score of each band, and what is typical: the median score, or what most subjects have listed."""
        self.facts["bands"] = sorted(([top, band] for band, top in self._tops.items()), key=lambda pair: pair[0])
        if self._scores:
            middle = sorted(self._scores)[len(self._scores) // 2]
            self.facts["typical"] = [{"score": middle}]
        elif self._listed:
            total = max(self._listed.values())
            self.facts["typical"] = [
                {**dict(zip(self.facts["per"], names, strict=True)), "rank": rank, "score": round(count / total, 6)}
                for rank, (names, count) in enumerate(self._listed.most_common(TYPICAL_ROWS), 1)
            ]


def _publish_features(deployment: Deployment, store: Answers, customer: Customer) -> int | None:
    """The features of users that models read, as 64-bit numbers in the order of the facts' ``columns``."""
    lake, wanted = deployment.lake, _wanted_columns(deployment, customer)
    sources = {table: _source(lake, customer.name, table) for table in wanted}
    source = ";".join(f"{table}={version}" for table, version in sorted(sources.items()) if version)
    columns = [name for table in sorted(wanted) if sources[table] for name in wanted[table]]
    source = f"{source};{','.join(columns)}"
    if not columns or store.has(FEATURES, source):
        return None
    facts: dict[str, Any] = {"columns": columns}
    parts = [
        (lake.arrow(customer.name, table, columns=["user_id", "as_of", *names]), names)
        for table, names in sorted(wanted.items())
        if sources[table]
    ]
    moments = [part.column("as_of")[0].as_py() for part, _ in parts if part.num_rows]
    if moments:
        facts["as_of"] = _plain(min(moments))
    return store.replace(FEATURES, source, _feature_blobs(parts), facts)


def _feature_blobs(parts: list[tuple[pa.Table, list[str]]]) -> Iterator[tuple[str, bytes]]:
    import numpy as np

    places: dict[str, int] = {}
    for part, _ in parts:
        for user in part.column("user_id").to_pylist():
            places.setdefault(user, len(places))
    values = np.full((len(places), sum(len(names) for _, names in parts)), np.nan)
    first = 0
    for part, names in parts:
        rows = np.fromiter((places[user] for user in part.column("user_id").to_pylist()), dtype=np.int64)
        for place, name in enumerate(names, first):
            values[rows, place] = part.column(name).to_pandas().to_numpy(dtype=float, na_value=np.nan)
        first += len(names)
    for user, place in places.items():
        yield str(user), values[place].tobytes()


def _wanted_columns(deployment: Deployment, customer: Customer) -> dict[str, list[str]]:
    """By feature table of users the columns of numbers that the customer's models read."""
    import pyarrow as pa

    wanted: dict[str, set[str]] = {}
    for name, spec in deployment.stages.models.items():
        if not customer.has_model(name):
            continue
        for reads in _read_of(deployment, customer, spec):
            known = deployment.stages.tables.get(reads.table)
            if known is not None and set(known.table.key) - {"as_of"} == {"user_id"}:
                wanted.setdefault(reads.table, set()).update(reads.columns)
    present: dict[str, list[str]] = {}
    for table, names in wanted.items():
        if not deployment.lake.exists(customer.name, table):
            continue
        schema = deployment.lake.delta(customer.name, table).to_pyarrow_dataset().schema
        numbers = {
            one.name
            for one in schema
            if pa.types.is_integer(one.type) or pa.types.is_floating(one.type) or pa.types.is_boolean(one.type)
        }
        present[table] = sorted(names & numbers)
    return {table: names for table, names in present.items() if names}


def _read_of(deployment: Deployment, customer: Customer, spec: ModelSpec) -> Iterator[Reads]:
    """What a model reads: by its file, and by its champion where that chose its columns from a wider menu."""
    yield from spec.model.joined
    if customer.models.get(spec.name, {}).get("menu") != ALL:
        return
    registry = deployment.registry
    champion = registry.champion(customer.name, spec.name)
    chosen = () if champion is None else registry.report(customer.name, spec.name, champion).get("feature_columns", ())
    for reads in offering(spec, deployment.stages, customer, chosen).model.joined:
        if names := tuple(name for name in reads.columns if name in chosen):
            yield replace(reads, columns=names)


def _source(lake: Lake, customer: str, table: str) -> str:
    """What tells this version of a table from any other; empty where there is none."""
    identity = lake.identity(customer, table)
    return "" if identity is None else f"{identity[0]}@{identity[1]}"


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
