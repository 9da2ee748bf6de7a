"""The brand's own time: it runs fast in busy hours and stands still while the shops are closed.

Purchases are Poisson on this clock, so seasons, profiles, campaigns and shifts change *when* people buy and never the
law by which they do. Its unit is a week of a brand without seasons; a position counts from the brand's start.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from capflow_assets.simulation.brand import Brand

MINUTES_A_DAY = 1440
QUARTER_DAYS = 91


@dataclass(frozen=True)
class Clock:
    """A growing function between local minutes since the start and weeks on the brand's clock."""

    minutes: np.ndarray
    weeks: np.ndarray

    def weeks_at(self, minutes: np.ndarray) -> np.ndarray:
        """Position on the clock at local minutes since the start."""
        return np.interp(minutes, self.minutes, self.weeks)

    def minutes_at(self, weeks: np.ndarray) -> np.ndarray:
        """The whole local minute in which the clock shows ``weeks``."""
        return np.interp(weeks, self.weeks, self.minutes).astype(np.int64)


@dataclass(frozen=True)
class Effects:
    """What the campaigns do: spans on the clock, in order and apart, and each shopper's uplift of the rate in them.

    A shopper's *felt* time runs ``1 + uplift`` times as fast as the clock inside a span.
    """

    starts: np.ndarray
    ends: np.ndarray
    uplift: np.ndarray

    def felt(self, weeks: np.ndarray, shopper: np.ndarray) -> np.ndarray:
        """Felt time at a position of the clock."""
        gained = np.zeros_like(weeks)
        for campaign, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            gained += self.uplift[shopper, campaign] * np.clip(weeks - start, 0, end - start)
        return weeks + gained

    def unfelt(self, felt: np.ndarray, shopper: np.ndarray) -> np.ndarray:
        """The position of the clock at a felt time; the inverse of ``felt``."""
        weeks = felt.copy()
        for campaign, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            uplift = self.uplift[shopper, campaign]
            weeks -= np.where(
                weeks > start, np.minimum((weeks - start) * uplift / (1 + uplift), uplift * (end - start)), 0
            )
        return weeks


def clock(brand: Brand, shifted: bool = True) -> Clock:
    """The clock of ``brand`` over its history and its future; ``shifted=False`` leaves the shift out."""
    days = np.arange(brand.days + brand.future_days)
    dates = pd.date_range(brand.start, periods=len(days))
    week = np.array(brand.week) / np.mean(brand.week)
    pace = season(brand, dates) * week[dates.dayofweek]
    if shifted:
        pace = pace * shift(brand, days)
    hours = np.array(brand.hours) / np.sum(brand.hours)
    weeks = np.concatenate([[0.0], np.cumsum(np.outer(pace, hours).ravel() / 7)])
    return Clock(np.arange(len(weeks)) * 60.0, weeks)


def season(brand: Brand, dates: pd.DatetimeIndex) -> np.ndarray:
    """Pace of the year: ``1 + strength cos(2 pi (day - peak) / 365.25)``, 1 on average."""
    turn = 2 * np.pi * (dates.dayofyear.to_numpy() - brand.season_peak_day) / 365.25
    return 1 + brand.season_strength * np.cos(turn)


def shift(brand: Brand, days: np.ndarray) -> np.ndarray:
    """The factor of the shift on each day since the start; 1 before it, always.

    sudden: the factor from that day on. gradual: in a straight line to it over ``shift_ramp_days``. seasonal: the
    factor for 91 days from that day, and again every 365 days.
    """
    if brand.shift_on is None:
        return np.ones(len(days))
    since = days - day_of(brand, brand.shift_on)
    shares = {
        "sudden": np.where(since >= 0, 1.0, 0.0),
        "gradual": np.clip((since + 1) / brand.shift_ramp_days, 0, 1),
        "seasonal": np.where((since >= 0) & (since % 365 < QUARTER_DAYS), 1.0, 0.0),
    }
    return 1 + (brand.shift_factor - 1) * shares[brand.shift_kind]


def day_of(brand: Brand, day: date) -> int:
    """Days from the brand's start to ``day``."""
    return (day - brand.start).days


def moments(brand: Brand, minutes: np.ndarray) -> pd.DatetimeIndex:
    """Moments in UTC of local minutes since the start. An hour told twice is the first; one left out moves forward."""
    local = pd.DatetimeIndex(np.datetime64(brand.start, "us") + np.asarray(minutes, "timedelta64[m]"))
    first = np.ones(len(local), dtype=bool)
    return local.tz_localize(brand.time_zone, ambiguous=first, nonexistent="shift_forward").tz_convert("UTC")


def local_minutes(brand: Brand, moments: pd.DatetimeIndex) -> np.ndarray:
    """Local minutes since the start of moments in UTC; the inverse of ``moments``."""
    local = moments.tz_convert(brand.time_zone).tz_localize(None)
    return ((local - pd.Timestamp(brand.start)) / pd.Timedelta(minutes=1)).to_numpy()
