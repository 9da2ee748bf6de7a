"""Findings about ids: what programs have spoilt, who is nobody, who is not on the list; and what is left alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from capflow_assets.clean.bills import TABLE as BILLS
from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.clean.users import TABLE as USERS
from capflow_assets.landing.personal import user_pseudonym
from capflow_assets.raw.users import TABLE as RAW_USERS
from capflow_assets.validation.listed_users import listed_users
from capflow_assets.validation.spoilt_ids import spoilt_ids
from capflow_assets.validation.user_ids import user_ids
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CROWD = {f"u{n:03}": 4 for n in range(40)}


def bills(spark: SparkSession, counts: Mapping[str, int], **more: str) -> DataFrame:
    users = [user for user, count in counts.items() for _ in range(count)]
    return frame_of(spark, BILLS, [{"bill_id": f"b{n}", "user_id": user, **more} for n, user in enumerate(users)])


def lines(spark: SparkSession, items: Iterable[str]) -> DataFrame:
    return frame_of(spark, LINES, [{"bill_id": "b", "item_id": item} for item in items])


def test_words_that_mean_nobody_are_named(spark: SparkSession) -> None:
    finding = user_ids(bills(spark, CROWD | {"NULL": 1, "N/A": 2, "-": 1, "0": 30, "99999999": 15, "Guest": 1}))
    assert not finding.passed
    assert {row["user_id"] for row in finding.sample} == {"NULL", "N/A", "-", "0", "99999999", "Guest"}
    assert (finding.found["nobodies"], finding.found["bills"]) == (6, 50)
    assert 'not_a_user = ["0", "99999999", "N/A", ' in finding.message


def test_one_user_with_a_large_share_is_named(spark: SparkSession) -> None:
    finding = user_ids(bills(spark, CROWD | {"4711": 60}))
    assert [row["user_id"] for row in finding.sample] == ["4711"]
    assert "4711 (60 bills)" in finding.message


def test_hashed_ids_that_are_nobodies_are_named_by_what_can_be_written(spark: SparkSession) -> None:
    """Words that mean nobody are named without a hash; of a hash the TOML wants the id that it was made of."""
    sent = {"N/A": 3, "card 4711": 60} | CROWD
    finding = user_ids(bills(spark, {user_pseudonym(user, b"key"): count for user, count in sent.items()}))
    assert {row["user_id"] for row in finding.sample} == {"N/A", user_pseudonym("card 4711", b"key")}
    assert 'not_a_user = ["N/A", …] at the top of the TOML, each id as the source sends it' in finding.message


def test_users_are_left_alone(spark: SparkSession) -> None:
    """An id 0 among others that buys as they do; a regular; a few users, each with a third of the bills; nobody."""
    assert user_ids(bills(spark, CROWD | {"0": 4, "Nan Smith": 1, "00123": 3, "test-9": 2, "u999": 7})).passed
    assert user_ids(bills(spark, {"ann": 50, "bob": 1, "cem": 20})).passed
    assert user_ids(bills(spark, {})).passed


def test_rounded_ids_are_named(spark: SparkSession) -> None:
    finding = spoilt_ids(bills(spark, {"1.23457E+12": 2, "u1": 1}), lines(spark, ["5,90123E+12", "pen", "#####"]))
    assert not finding.passed
    assert finding.found == {"user_id_rounded_rows": 2, "item_id_rounded_rows": 2}
    assert "user_id of 2 bills is rounded, as a spreadsheet shows long numbers: 1.23457E+12" in finding.message
    assert "5,90123E+12" in finding.message


def test_an_id_with_and_without_a_fraction_is_there_twice(spark: SparkSession) -> None:
    finding = spoilt_ids(bills(spark, {"12.0": 2, "12": 1, "7": 5}))
    assert finding.found == {"user_id_twice_rows": 2}
    assert "12.0 beside 12" in finding.message


def test_ids_that_only_look_so_are_left_alone(spark: SparkSession) -> None:
    assert spoilt_ids(bills(spark, {"12.0": 2, "7": 5, "3E10": 1}), lines(spark, ["1E5", "2.0", "00012", "1.5"])).passed
    assert spoilt_ids(bills(spark, {})).passed


def test_users_who_are_not_listed_are_named(spark: SparkSession) -> None:
    users = [{"user_id": f"u{n}", "is_listed": n >= 2} for n in range(20)]
    listed = frame_of(spark, RAW_USERS, users[2:])
    finding = listed_users(frame_of(spark, USERS, users), listed)
    assert (finding.passed, finding.found["unlisted"], finding.found["share_pct"]) == (False, 2, 10.0)
    assert "such as u0, u1; listed are such as u10" in finding.message
    assert listed_users(frame_of(spark, USERS, users), listed, at_most_share_pct=10).passed
    assert listed_users(frame_of(spark, USERS, []), listed).passed
