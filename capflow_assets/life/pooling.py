"""One model for the customers of a vertical that have too little of their own: the rung between a model and the rule.

Every customer whose chance is learned gives a sample of its examples to the pool, unless ``[sharing] give = false``:
counts, days and shares of anonymous subjects, whether the outcome came, and neither ids nor amounts in a currency. The
pool's model is learned from the others' examples alone, so that a customer's own past can judge it. It answers where
nothing of the customer's own does, unjudged where there is no past horizon yet, and gives way like any champion to the
first model of the customer's own that is not worse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Column, Estimator, Examples, Horizon, Model, ReadsColumns
from capflow_assets.errors import CapflowError
from capflow_assets.home.keys import customer_key
from capflow_assets.stores.shared_examples import SUBJECT, SharedExamples, horizon_of
from capflow_assets.tables.suppression import digest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from capflow_assets.customers.customer import Customer
    from capflow_assets.deployment import Deployment
    from capflow_assets.life.examples import ExampleReader

MOST_GIVEN = 5_000
LEAST_CUSTOMERS = 2
LEAST_EXAMPLES, LEAST_OF_EACH = 400, 40
LEAST_COLUMNS = 1
CURRENCY = "currency"
SHARED_TYPES = ("int", "bigint", "double", "float", "boolean")
MOMENT, OUTCOME = "moment", "outcome"


@dataclass(frozen=True, slots=True)
class Pool:
    """The examples that other customers of the vertical give to a model, and from how many customers they are."""

    examples: Examples
    columns: tuple[str, ...]
    customers: int

    def words(self) -> str:
        """What it is, for people; it names nobody."""
        return f"{len(self.examples):,} examples of {self.customers} other customers of the vertical"


def may_pool(model: Model[Any]) -> bool:
    """Whether a model's answers mean the same for every customer of a vertical: a chance of users."""
    return model.objective == "chance" and model.subject.key == ("user_id",) and model.fitted == "past"


def shared_columns(reader: ExampleReader) -> tuple[str, ...]:
    """The joined columns of a model that may be shared: numbers that are no amounts, and no ids."""
    return tuple(
        name
        for reads in reader.spec.model.joined
        for name in reads.columns
        if reads.table in reader.stages.tables and _is_shared(reader.stages.tables[reads.table].table.column(name))
    )


def _is_shared(column: Column) -> bool:
    is_id = column.name.endswith("_id") or column.personal
    return column.type in SHARED_TYPES and column.unit != CURRENCY and not is_id


def give(deployment: Deployment, reader: ExampleReader, params: Horizon, examples: Examples) -> dict[str, Any]:
    """Give a sample of the customer's examples to the pool, or take back what it gave; the receipt for its report.

    Where the pool cannot be written the receipt says so, and nothing else follows.
    """
    customer, name = reader.customer, reader.spec.name
    if not may_pool(reader.spec.model):
        return {}
    pool = SharedExamples(deployment.lake)
    try:
        if not customer.sharing.give:
            return {"rows": 0, "why": "[sharing] give = false", "removed_files": pool.remove(customer.name)}
        columns = shared_columns(reader)
        table = _table(
            examples, columns, reader.spec.model.outcome.columns[0], customer_key(deployment.home, customer.name)
        )
        place = pool.save(customer.name, name, table, params.horizon_days)
        return {"rows": len(table), "columns": list(columns), "place": place}
    except (OSError, CapflowError) as error:
        return {"rows": 0, "why": f"the pool cannot be written: {str(error).splitlines()[0]}"}


def _table(examples: Examples, columns: tuple[str, ...], outcome: str, key: bytes) -> pa.Table:
    """The sample: the subjects whose digests come first, each with all of its moments."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from capflow_assets.learning.example_weights import drawn_alike, example_weights

    frame, outcomes = examples.columns, examples.outcomes
    assert outcomes is not None  # noqa: S101  (they are of past moments)
    weights = example_weights(outcomes)
    if weights is not None:
        # What was kept for being rare is not rarer elsewhere: those who read the pool have no weights.
        is_alike = drawn_alike(weights, np.random.default_rng(0).random(weights.size))
        frame, outcomes = frame[is_alike], outcomes[is_alike]
    present = [name for name in columns if name in frame.columns]
    subjects = [digest(key, "user", str(subject)) for subject in frame.index]
    moments = frame[MOMENT] if MOMENT in frame.columns else 0
    rows = (
        frame[present]
        .astype(float)
        .assign(
            **{SUBJECT: subjects, MOMENT: moments, OUTCOME: (outcomes[outcome].to_numpy(dtype=float) > 0).astype(float)}
        )
    )
    rows = rows.sort_values([SUBJECT, MOMENT], kind="stable").head(MOST_GIVEN)
    return pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)


def pool_of(deployment: Deployment, reader: ExampleReader, params: Horizon) -> Pool | None:
    """What others of the customer's vertical give; None where there is too little to learn from.

    Outcomes of another horizon are chances of something else.
    """
    import pandas as pd

    if not may_pool(reader.spec.model):
        return None
    tables = list(_given_by_others(deployment, reader, params.horizon_days))
    if len(tables) < LEAST_CUSTOMERS:
        return None
    allowed = shared_columns(reader)
    columns = tuple(name for name in allowed if all(name in table.columns for table in tables))
    # Numbered from the newest, which calibrates: customers have different numbers of moments.
    newest = max(int(table[MOMENT].max()) for table in tables)
    rows = pd.concat([table.assign(**{MOMENT: table[MOMENT] - table[MOMENT].max() + newest}) for table in tables])
    positives = int(rows[OUTCOME].sum())
    if len(columns) < LEAST_COLUMNS or len(rows) < LEAST_EXAMPLES:
        return None
    if not LEAST_OF_EACH <= positives <= len(rows) - LEAST_OF_EACH:
        return None
    rows = rows.rename(columns={SUBJECT: "user_id"}).set_index("user_id")
    outcomes = rows[[OUTCOME]].rename(columns={OUTCOME: reader.spec.model.outcome.columns[0]})
    return Pool(Examples(rows[[*columns, MOMENT]], outcomes), columns, len(tables))


def _given_by_others(deployment: Deployment, reader: ExampleReader, horizon_days: int) -> Iterator[pd.DataFrame]:
    pool, own = SharedExamples(deployment.lake), reader.customer
    for name in deployment.customers():
        if name == own.name or not _gives(deployment, name, own):
            continue
        try:
            table = pool.read(name, reader.spec.name)
        except (OSError, CapflowError):  # what of another's cannot be read costs its part alone
            continue
        if table is not None and len(table) and horizon_of(table) == horizon_days:
            yield table.to_pandas()


def _gives(deployment: Deployment, name: str, own: Customer) -> bool:
    try:
        other = deployment.customer(name)
    except CapflowError:  # a TOML that has gone bad gives nothing
        return False
    return other.vertical == own.vertical and other.sharing.give


def learned_from(pool: Pool, model: Model[Any], params: Horizon) -> Estimator | None:
    """The first of the model's candidates, learned from the pool; None where it cannot do without other columns.

    Raises:
        EvidenceError: there is too little in it after all.
    """
    estimator: Estimator = model.challengers[0].make(params)
    if isinstance(estimator, ReadsColumns):
        estimator = estimator.using(pool.columns)
    elif set(model.columns) - set(pool.columns):
        return None
    return estimator.fit(pool.examples)
