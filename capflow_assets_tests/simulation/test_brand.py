from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from capflow_assets.simulation.brand import BOOTS, CAFE, Brand, tiny


def test_the_history_ends_at_the_first_day_after_it() -> None:
    assert tiny("shop", seed=1, start=date(2024, 2, 28), days=3).end == date(2024, 3, 2)


def test_equal_dials_make_equal_brands() -> None:
    assert tiny("shop", seed=1) == tiny("shop", seed=1)
    assert tiny("shop", seed=1) != tiny("shop", seed=2)


def test_the_ready_made_brands_differ_in_shape_zone_and_currency() -> None:
    assert (BOOTS.shape.source, BOOTS.time_zone, BOOTS.currency) == ("csv", "Europe/London", "GBP")
    assert (CAFE.shape.source, CAFE.time_zone, CAFE.currency) == ("parquet", "Europe/Madrid", "EUR")


@pytest.mark.parametrize(
    ("dials", "words"),
    [
        ({"name": "Big Shop"}, "name"),
        ({"time_zone": "Europe/Londn"}, "expected an IANA time zone"),
        ({"week": (0.0,) * 7}, "expected weights"),
        ({"hours": (-1.0,) + (1.0,) * 23}, "expected weights"),
        ({"sends": ("bills", "invoices")}, "came invoices"),
        ({"items": 3, "affinities": 0}, "items must be at least as many as categories"),
        ({"items": 10, "affinities": 6}, "affinities need two items each"),
        ({"campaigns": 20, "campaign_days": 20}, "campaigns must fit into the days"),
        ({"shape": CAFE.shape, "wrong_types": 1}, "wrong_types need a CSV shape"),
        ({"shift_kind": "soon"}, "shift_kind"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_brand_that_cannot_be_is_refused(dials: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        tiny(**({"name": "shop", "seed": 1} | dials))


def test_a_brand_survives_json() -> None:
    assert Brand.model_validate_json(BOOTS.model_dump_json()) == BOOTS
