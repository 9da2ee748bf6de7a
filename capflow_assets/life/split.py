"""The examples of a training: those of past moments to learn from, and the newest horizon to be judged on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from capflow_assets.contract import Examples, Horizon, Window
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.expressions.as_of import newest
from capflow_assets.expressions.days import days_after, days_before
from capflow_assets.expressions.history import first_moment
from capflow_assets.learning import outcomes
from capflow_assets.learning.moments import apart, together
from capflow_assets.learning.readiness import LEAST_HISTORY_DAYS
from capflow_assets.life.examples import ExampleReader
from capflow_assets.monitoring.arrivals import ON_TIME, LandingDelay

BILLS = "clean/bills"


@dataclass(frozen=True, slots=True)
class Split:
    """Examples of ``train_moments`` to learn from, and those of ``test_moment`` to be judged on.

    A model that is fitted to the state of a moment has no outcomes to learn from, and is fitted to the test's subjects.
    Where it has several candidates, ``earlier`` are the examples of the horizon before, to choose among them, if there
    is history of another horizon before that.
    """

    train: Examples
    test: Examples
    test_moment: datetime
    train_moments: tuple[datetime, ...]
    earlier: Examples | None = None

    @property
    def labelled(self) -> Examples:
        """Examples with outcomes to look for leaks in: what the model learns from, else what it is judged on."""
        return self.test if self.train.outcomes is None else self.train

    @property
    def known(self) -> Examples:
        """All examples whose outcomes are known, those that the model is judged on among them."""
        return together([*apart(self.train), self.test])


def split_in_time(reader: ExampleReader, params: Horizon, as_of: datetime, delay: LandingDelay = ON_TIME) -> Split:
    """The examples of a customer who is ready for the model.

    A horizon is over once its bills have landed too, by the ``delay`` that they have.

    Raises:
        EvidenceError: no past moment makes examples, or too few events are over.
    """
    windows = _windows(reader, params, as_of, delay)
    reader = reader.sampled(windows, params.max_examples)
    moments = [window.start for window in windows]
    if reader.spec.model.fitted == "now":
        # Users who were watched for less time than they would be judged over say little of how they go on.
        is_choice = len(reader.spec.model.challengers) > 1 and len(windows) > 2
        *earlier, test = reader.with_outcomes(windows[-2:] if is_choice else windows[-1:])
        return Split(replace(test, outcomes=None), test, moments[-1], (), *earlier)
    *train, test = reader.with_outcomes(windows)
    if not train:
        return _halved(reader, test)
    return Split(together(train), test, moments[-1], tuple(moments[:-1]))


def past_examples(reader: ExampleReader, params: Horizon, as_of: datetime, delay: LandingDelay = ON_TIME) -> Examples:
    """All examples whose outcomes are known, where there may be too few to judge by: those of one horizon, or of some.

    Raises:
        EvidenceError: no past moment makes examples.
    """
    windows = _windows(reader, params, as_of, delay)
    return together(reader.sampled(windows, params.max_examples).with_outcomes(windows))


def first_bill(reader: ExampleReader, moment: datetime) -> datetime:
    """The time of the first bill up to the moment of a customer's history (``expressions.history``)."""
    from pyspark.sql import functions as F

    bills = reader.lake.table(reader.customer.name, BILLS).filter(F.col("billed_at") <= F.lit(moment))
    first = first_moment(bills)
    if first is None:
        raise EvidenceError(f"{reader.customer.name} has no bill up to {moment.isoformat()}")
    return first.astimezone(moment.tzinfo)


def known_until(reader: ExampleReader, as_of: datetime) -> datetime:
    """The moment up to which outcomes are known (``learning.outcomes``)."""
    customer = reader.customer
    return outcomes.known_until(as_of, newest(reader.lake.table(customer.name, BILLS), as_of), customer.time_zone)


def filled_until(reader: ExampleReader, as_of: datetime, delay: LandingDelay = ON_TIME) -> datetime:
    """The moment up to which outcomes are known and have landed."""
    return min(known_until(reader, as_of), days_before(as_of, delay.wait_days, reader.customer.time_zone))


def _windows(reader: ExampleReader, params: Horizon, as_of: datetime, delay: LandingDelay) -> list[Window]:
    """The past horizons that are over, oldest first; the last one is to be judged on."""
    first, until, zone = first_bill(reader, as_of), filled_until(reader, as_of, delay), reader.customer.time_zone
    if reader.spec.events is None:
        windows = outcomes.past_windows(until, params.horizon_days, params.moments, first, zone)
    else:
        earliest = days_after(first, min(params.horizon_days, LEAST_HISTORY_DAYS), zone)
        begun = [moment.astimezone(as_of.tzinfo) for moment in reader.events(until) if moment >= earliest]
        horizons = [Window(moment, days_after(moment, params.horizon_days, zone)) for moment in begun]
        windows = _without_overlap([window for window in horizons if window.end <= until], params.moments)
    if not windows:
        raise EvidenceError(
            f"{reader.spec.name} has no examples of {reader.customer.name}",
            expected=f"a past moment with {params.horizon_days} days after it and history before it",
            came=f"bills from {first.isoformat()} to {until.isoformat()}",
            do="wait, or choose a shorter horizon",
        )
    return windows


def _without_overlap(windows: list[Window], moments: int) -> list[Window]:
    """The newest window, and those before it that were over when it began: what came of others was not known yet."""
    if not windows:
        return []
    newest = windows[-1]
    return [*[window for window in windows[:-1] if window.end <= newest.start][-moments:], newest]


def _halved(reader: ExampleReader, examples: Examples) -> Split:
    """Where there is one event only: one half of its subjects to learn from, the other to be judged on.

    Halves are drawn by the first column of the subject's key, by a digest that is the same everywhere.
    """
    from zlib import crc32

    if reader.spec.events is None:
        raise ModelError(
            f"{reader.spec.name} has one past moment and needs two", expected="one to learn from and one to test on"
        )
    names = examples.columns.index.get_level_values(0).astype(str)
    is_first = [crc32(name.encode()) % 2 == 0 for name in names]
    frames = examples.columns, examples.outcomes
    halves = [
        replace(examples, columns=frames[0][mask], outcomes=None if frames[1] is None else frames[1][mask])
        for mask in ([not value for value in is_first], is_first)
    ]
    moment = examples.moments[0]
    return Split(together(halves[:1]), halves[1], moment, (moment,))
