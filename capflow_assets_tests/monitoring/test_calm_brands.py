"""Small brands over half a year of scorings: what changes by chance is left alone, a planted change is asked about.

The brands of `python -m bench drift` are more, and scored nightly.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from capflow_assets_doubles.simulated_brands import (
    HALF_A_YEAR,
    START,
    TRAINED,
    by_the_threshold_alone,
    first_request,
    is_over,
    nights,
    steady_brands,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WEEKLY = range(7, HALF_A_YEAR + 1, 7)
SHIFT: dict[str, Any] = {"shift_on": START + timedelta(days=TRAINED + 28), "shift_factor": 3.0}


def test_calm_brands_do_not_ask(spark: SparkSession) -> None:
    calm = nights(spark, steady_brands(12, 2000), WEEKLY)
    assert [first_request(brand, is_over) for brand in calm] == [None] * 12
    assert any(first_request(brand, by_the_threshold_alone) for brand in calm), "chance alone passes the threshold"


def test_brands_whose_users_buy_and_pay_three_times_as_much_all_ask_within_weeks(spark: SparkSession) -> None:
    small = nights(spark, steady_brands(6, 2000, **SHIFT), range(7, 85, 7))
    days = [first_request(brand, is_over) for brand in small]
    assert all(day is not None and 28 < day <= 28 + 56 for day in days), days


def test_with_users_enough_a_change_is_found_in_the_night_in_which_it_passes_the_threshold(spark: SparkSession) -> None:
    large = nights(spark, steady_brands(3, 3000, smallest=500, largest=800, **SHIFT), range(25, 50))
    days = [first_request(brand, is_over) for brand in large]
    assert days == [first_request(brand, by_the_threshold_alone) for brand in large]
    assert all(day is not None and 28 < day < 49 for day in days), days
