"""Users' last visits in the store of online answers, for models that follow them: published by the night, read live."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.stores.answer_store import ANSWERS
from capflow_assets.stores.answer_stores import Answers
from capflow_assets.stores.saved_estimators import class_of

if TYPE_CHECKING:
    import pandas as pd

HISTORIES = "visits"
LINES = "clean/line_items"


def follows_visits(spec: ModelSpec) -> bool:
    """Whether a candidate of a model lists items from a user's last visits alone, and so can with a basket in hand."""
    return any(hasattr(class_of(candidate.make), "visit_net") for candidate in spec.model.candidates)


def publish_histories(deployment: Deployment, store: Answers, customer: Customer) -> int | None:
    """Publish the visits that the night's lists were made of; None where that is done, or no such model has answered.

    Call it within ``writing``, once the night's answers are published.
    """
    from capflow_assets.learning.baskets import baskets_of
    from capflow_assets.learning.online.histories import histories, packed_visits

    as_of = _moment(deployment, store, customer)
    identity = None if as_of is None else deployment.lake.identity(customer.name, LINES)
    if as_of is None or identity is None:
        store.drop(HISTORIES)
        return None
    source = f"{identity[0]}@{identity[1]};{as_of}"
    if store.has(HISTORIES, source):
        return None
    known = baskets_of(_lines(deployment, customer.name, datetime.fromisoformat(as_of)))
    rows = ((user, packed_visits(visits)) for user, visits in histories(known))
    return store.replace(HISTORIES, source, rows, {"as_of": as_of})


def _moment(deployment: Deployment, store: Answers, customer: Customer) -> str | None:
    """The newest moment that a model which follows visits has answered for."""
    tables, moments = store.tables(), []
    for name, spec in deployment.stages.models.items():
        table = tables.get(f"{ANSWERS}{name}")
        if table is not None and customer.has_model(name) and follows_visits(spec) and "as_of" in table.facts:
            moments.append(str(table.facts["as_of"]))
    return max(moments, key=datetime.fromisoformat, default=None)


def _lines(deployment: Deployment, customer: str, as_of: datetime) -> pd.DataFrame:
    """The rows that the moment knows, of the columns that baskets are read from."""
    from capflow_assets.learning.baskets import LINE_COLUMNS

    time = deployment.stages.tables[LINES].table.time
    columns = [*LINE_COLUMNS, time] if time else list(LINE_COLUMNS)
    rows: Any = deployment.lake.arrow(customer, LINES, columns=columns).to_pandas()
    if not time:
        return rows
    times = rows.pop(time)
    return rows[times.isna() | (times <= as_of)]
