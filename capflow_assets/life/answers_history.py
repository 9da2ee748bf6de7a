"""What was answered, kept until it can be held against what came: ``answers/{model}``, a table beside the predictions.

Predictions are replaced at each scoring. Here every scoring keeps its rows: the answer's key, its score (of a series
its figures), the version that answered and the moment; without what can be told from these, such as ranks, and
without words. One partition is one as-of moment: a night that is scored again replaces itself. A moment is kept until
the newest is ``horizon_days`` and ``AFTER_HORIZON_DAYS`` local days later, in as-of time, so backfills decide alike.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.expressions.days import local_day_of
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.moments import MOMENT, moments, partition_of, remove_moments, replace_moment

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Bills come late, and what came is looked at more than once.
AFTER_HORIZON_DAYS = 35


def table_of(model: str) -> str:
    """The table that keeps a model's answers."""
    return f"answers/{model}"


def keep(deployment: Deployment, customer: Customer, model: str, version: int, as_of: datetime) -> int | None:
    """Keep the predictions that lie in the lake, which ``version`` made as of a moment; the table's version.

    None where nothing is kept of such answers, nor of those of a version that was trained later than ``as_of``: it
    could not have answered then, and may have learned what came. What was kept of that moment stays. Rows pass in
    batches.

    Raises:
        TableError: the predictions or the answers kept before are damaged.
    """
    lake, name = deployment.lake, customer.name
    predictions, answers = f"predictions/{model}", table_of(model)
    columns = deployment.stages.model(model).model.kept_columns
    if not columns or deployment.registry.trained_as_of(name, model, version) > as_of:
        return None
    replace_moment(lake, name, answers, as_of, lake.batches(name, predictions, columns))
    horizon_days = int(deployment.registry.report(name, model, version).get("horizon_days") or 0)
    remove_moments(lake, name, answers, outlived(moments(lake, name, answers), horizon_days, customer.time_zone))
    return lake.version(name, answers)


def as_of(lake: Lake, customer: str, model: str, moment: datetime) -> DataFrame | None:
    """The answers that were given as of the newest scoring up to ``moment``; None where none is kept.

    One row per answer, as in the predictions: key, ``per``, score or figures, ``model_version`` and ``as_of``.
    """
    table = table_of(model)
    scored = [at for at in moments(lake, customer, table) if at <= moment]
    if not scored:
        return None
    return lake.table(customer, table).filter(f"{MOMENT} = '{partition_of(scored[-1])}'").drop(MOMENT)


def outlived(kept: list[datetime], horizon_days: int, zone: str) -> list[datetime]:
    """The moments whose answers were held against what came long enough.

    >>> from datetime import UTC
    >>> days = [datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 2, 12, tzinfo=UTC)]
    >>> newest = datetime(2024, 3, 7, 12, tzinfo=UTC)  # 65 days after the second of them
    >>> outlived([*days, newest], 30, "UTC") == days[:1]
    True
    """
    if not kept:
        return []
    newest = local_day_of(max(kept), zone)
    return [at for at in kept if (newest - local_day_of(at, zone)).days > horizon_days + AFTER_HORIZON_DAYS]
