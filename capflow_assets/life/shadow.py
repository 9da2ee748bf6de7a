"""The former champion answers in shadow for some nights after a promotion, so that the gain is measured, not promised.

``shadows/{model}`` keeps its answers by moment, beside those that were given (``answers/{model}``). Nothing is
delivered or served of them. Once the horizon of such a night is over and its bills have landed, both are held against
what came, on the same subjects; the lead goes into the ledger (``life.retrainings``), and the shadow answers of the
night go.

Of many subjects the sample is answered that a scoring holds at once, and where the former champion reads no other
columns, nothing is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Examples, Window
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.expressions.days import days_after
from capflow_assets.life import answers_history, retrainings
from capflow_assets.life.answers import answered, rows_of, schema_of
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.split import filled_until
from capflow_assets.monitoring.arrivals import ON_TIME, LandingDelay
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.moments import MOMENT, moments, partition_of, remove_moments, replace_moment
from capflow_assets.stores.saved_estimators import types_of

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from capflow_assets.learning.intervals import Interval

CHAMPION = "champion_version"


def table_of(model: str) -> str:
    """The table that keeps what the former champion would have answered."""
    return f"shadows/{model}"


def answer_in_shadow(
    deployment: Deployment, reader: ExampleReader, examples: Examples, champion: int, as_of: datetime, at_once: int
) -> str:
    """Let the former champion answer for ``examples`` too, where tonight is one of its nights; what was done, in words.

    Empty where it is off, where nobody was champion before, and once its nights are over. A former champion that is
    broken or fails stops no scoring: the words say why.
    """
    nights, model = reader.customer.retraining.shadow_nights, reader.spec.model
    if not nights or not model.kept_columns or reader.spec.events is not None:
        return ""
    try:
        former, night = _former(deployment.lake, reader, champion, as_of)
        if former is None or night > nights or deployment.registry.trained_as_of(*_name(reader), former) > as_of:
            return ""
        estimator = deployment.registry.load(*_name(reader), former, types_of(model))
        own = reader.reading(estimator)
        is_read = set(own.columns_read) <= set(examples.columns.columns)
        asked = examples if is_read else next(own.parts(as_of, at_once))
        _keep(deployment, reader, answered(own, estimator, asked, with_reasons=False), (champion, former), as_of)
    except Exception as error:  # one of an older code may want other features than there are now
        return f"the former champion does not answer in shadow: {type(error).__name__}: {error}".splitlines()[0][:300]
    return f"version {former} answers in shadow, night {night} of {nights}"


def measure_gain(deployment: Deployment, reader: ExampleReader, as_of: datetime, delay: LandingDelay = ON_TIME) -> None:
    """Put into the ledger by how much the champion led the former one, on nights whose horizon is over by ``as_of``.

    Raises:
        TableError: the ledger or what was kept is damaged.
    """
    (customer, name), lake = _name(reader), deployment.lake
    kept = [moment for moment in moments(lake, customer, table_of(name)) if moment < as_of]
    if not kept:
        return
    until, zone, done = filled_until(reader, as_of, delay), reader.customer.time_zone, []
    for moment in kept:
        first = _rows(lake, reader, moment).select(CHAMPION).limit(1).collect()
        champion = int(first[0][0]) if first else 0
        horizon_days = _horizon_days(deployment, reader, champion)
        if days_after(moment, horizon_days, zone) <= until:
            window = Window(moment, days_after(moment, horizon_days, zone))
            lead = _lead(deployment, reader, window, champion) if horizon_days else None
            if lead is not None:
                _add(lake, reader, champion, moment, lead)
            done.append(moment)
    remove_moments(lake, customer, table_of(name), done)


def _name(reader: ExampleReader) -> tuple[str, str]:
    return reader.customer.name, reader.spec.name


def _former(lake: Lake, reader: ExampleReader, champion: int, as_of: datetime) -> tuple[int | None, int]:
    """The champion that a version was promoted over, by the ledger, and which of its nights in shadow this one is."""
    customer, name = _name(reader)
    own = next((row for row in retrainings.rows_of(lake, customer, name) if row["version"] == champion), None)
    former = None if own is None else own.get("champion_before")
    # A new calibration leaves the order as it was: there is nothing to gain.
    if own is None or former in (None, champion) or own["action"] == "recalibrate":
        return None, 0
    table, waiting = table_of(name), 0
    if lake.exists(customer, table):
        columns = lake.arrow(customer, table, columns=[CHAMPION, MOMENT])
        pairs = columns.group_by([CHAMPION, MOMENT]).aggregate([]).to_pylist()
        others = [row for row in pairs if row[CHAMPION] == champion and row[MOMENT] != partition_of(as_of)]
        waiting = len(others)
    return int(former), (own.get("measured_nights") or 0) + waiting + 1


def _keep(
    deployment: Deployment, reader: ExampleReader, answers: pd.DataFrame, versions: tuple[int, int], as_of: datetime
) -> None:
    import pyarrow as pa

    (customer, name), model = _name(reader), reader.spec.model
    champion, former = versions
    frame = rows_of(model, answers, former, as_of, rung="shadow")[list(model.kept_columns)]
    table = pa.Table.from_pandas(frame, schema=schema_of(model, frame), preserve_index=False)
    table = table.append_column(CHAMPION, pa.repeat(pa.scalar(champion, pa.int32()), table.num_rows))
    replace_moment(deployment.lake, customer, table_of(name), as_of, table.to_reader())
    kept = moments(deployment.lake, customer, table_of(name))
    horizon_days = _horizon_days(deployment, reader, champion)
    outlived = answers_history.outlived(kept, horizon_days, reader.customer.time_zone)
    remove_moments(deployment.lake, customer, table_of(name), outlived)


def _horizon_days(deployment: Deployment, reader: ExampleReader, version: int) -> int:
    """The horizon of a version; 0 where its report cannot be read, so that it is measured no more."""
    try:
        return int(deployment.registry.report(*_name(reader), version).get("horizon_days") or 0)
    except CapflowError:
        return 0


def _rows(lake: Lake, reader: ExampleReader, moment: datetime) -> DataFrame:
    customer, name = _name(reader)
    return lake.table(customer, table_of(name)).filter(f"{MOMENT} = '{partition_of(moment)}'").drop(MOMENT)


def _lead(deployment: Deployment, reader: ExampleReader, window: Window, champion: int) -> Interval | None:
    """By how much what was given is better than what the former champion would have said; None where it is not known.

    It is not where the night was answered anew by another version since, or where the metric has nothing to say.
    """
    from pyspark.sql import functions as F

    from capflow_assets.learning.intervals import difference_with_interval

    (customer, name), key, model = _name(reader), reader.key, reader.spec.model
    kept, shadows = (
        answers_history.as_of(deployment.lake, customer, name, window.start),
        _rows(deployment.lake, reader, window.start),
    )
    if kept is None:
        return None
    own = kept.filter((F.col("model_version") == champion) & (F.col("as_of") == F.lit(window.start)))
    given = own.join(shadows.select(*key).distinct(), key, "left_semi").toPandas().set_index(key)
    shadow = shadows.drop(CHAMPION).toPandas().set_index(key)
    subjects = given.index.unique()
    if not len(subjects):
        return None
    try:
        (outcomes,) = reader.outcomes_in([window], [subjects])
        if model.outcome.absent == "unknown":
            outcomes = outcomes.dropna()
        ours, theirs = _of_subjects(model, outcomes, (given, shadow))
        return difference_with_interval(model.metric, outcomes, ours, theirs, seed=0)
    except (CapflowError, KeyError):  # too little came, or the metric reads what is not kept of the answers
        return None


def _of_subjects(model: Any, outcomes: pd.DataFrame, answers: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The answers of the subjects whose outcome is known; of one row a subject in the same order."""
    if not model.answer.per and not model.outcome.per:
        return [frame.loc[outcomes.index] for frame in answers]
    if model.outcome.absent == "unknown":
        return [frame[frame.index.isin(outcomes.index)] for frame in answers]
    return list(answers)


def _add(lake: Lake, reader: ExampleReader, champion: int, moment: datetime, lead: Interval) -> None:
    """Add a night to the mean of those before; one that is in it already changes nothing."""
    customer, name = _name(reader)
    own = next((row for row in retrainings.rows_of(lake, customer, name) if row["version"] == champion), None)
    before = None if own is None else retrainings.measured_gain(own)
    if before is not None and moment <= before.as_of:
        return
    nights = before.nights if before else 0
    ends = (before.value, before.low, before.high) if before else (0.0, 0.0, 0.0)
    value, low, high = ((end * nights + new) / (nights + 1) for end, new in zip(ends, lead, strict=True))
    gain = retrainings.MeasuredGain(value, low, high, nights + 1, moment)
    retrainings.keep_measured(lake, customer, name, champion, gain)
