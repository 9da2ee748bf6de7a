"""The examples of a training: those of past moments to learn from, and the newest horizon to be judged on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Params, Window
from capflow_assets.errors import ModelError
from capflow_assets.expressions.as_of import newest
from capflow_assets.expressions.history import first_moment
from capflow_assets.learning import outcomes
from capflow_assets.life.examples import Examples

if TYPE_CHECKING:
    import pandas as pd

BILLS = "clean/bills"


@dataclass(frozen=True, slots=True)
class Split:
    """Examples of ``train_moments`` to learn from, and those of ``test_moment`` to be judged on.

    A model that learns from features alone has no ``train_labels``, and is fitted to the test's users.
    """

    train: pd.DataFrame
    train_labels: pd.DataFrame | None
    test: pd.DataFrame
    test_labels: pd.DataFrame
    test_moment: datetime
    train_moments: tuple[datetime, ...]

    @property
    def labelled(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Features with their labels to look for leaks in: what the model learns from, else what it is judged on."""
        if self.train_labels is None:
            return self.test, self.test_labels
        return self.train, self.train_labels


def split_in_time(examples: Examples, params: Params, as_of: datetime) -> Split:
    """The examples of a customer who is ready for the model."""
    windows = _windows(examples, params, as_of)
    if examples.spec.model.learns_from == "features":
        horizon = windows[-1]
        test = examples.features(horizon.start)
        test_labels = examples.labels(horizon.start, horizon.end, test.index)
        return Split(test, None, test, test_labels, horizon.start, ())
    return _labelled_split(examples, windows)


def first_bill(examples: Examples, moment: datetime) -> datetime:
    """The time of the first bill up to the moment of a customer's history (``expressions.history``)."""
    from pyspark.sql import functions as F

    bills = examples.lake.table(examples.customer.name, BILLS).filter(F.col("billed_at") <= F.lit(moment))
    first = first_moment(bills)
    if first is None:
        raise ModelError(f"{examples.customer.name} has no bill up to {moment.isoformat()}")
    return first.astimezone(moment.tzinfo)


def known_until(examples: Examples, as_of: datetime) -> datetime:
    """The moment up to which outcomes are known (``learning.outcomes``)."""
    customer = examples.customer
    return outcomes.known_until(as_of, newest(examples.lake.table(customer.name, BILLS), as_of), customer.time_zone)


def _windows(examples: Examples, params: Params, as_of: datetime) -> list[Window]:
    """The past horizons that are over, oldest first; the last one is to be judged on."""
    first, until = first_bill(examples, as_of), known_until(examples, as_of)
    return outcomes.past_windows(until, params.horizon_days, params.moments, first, examples.customer.time_zone)


def _labelled_split(examples: Examples, windows: list[Window]) -> Split:
    import pandas as pd

    *train_moments, test_moment = (window.start for window in windows)
    *train_frames, test = examples.features_at([*train_moments, test_moment])
    *train_labels, test_labels = examples.labels_in(windows, [frame.index for frame in (*train_frames, test)])
    numbered_frames = [frame.assign(moment=position) for position, frame in enumerate(train_frames)]
    labels = pd.concat(train_labels)
    return Split(pd.concat(numbered_frames), labels, test, test_labels, test_moment, tuple(train_moments))
