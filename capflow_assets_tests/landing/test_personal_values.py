"""Columns that nobody calls personal and whose values look it are named, and no value is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets_doubles.landings import Shop, finding_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


KINDS = {
    "e-mail addresses": ["ann@example.org", "call me: bob@example.co.uk", "x", "y"],
    "phone numbers": ["+44 20 7946 0958", "020 7946 0958", "(020) 79460958", "0049 30 1234567"],
    "payment cards": ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "none"],
    "IBANs": ["GB29 NWBK 6016 1331 9268 19", "DE89370400440532013000", "x", "y"],
}
HARMLESS = [
    ["2024-05-02 10:00:00", "2024-05-02", "123456789", "31198570044"],
    ["4006381333931", "5901234123457", "4111111111111112", "4111111111111113"],
    ["GOLD", "12.50", "a@b", "SW1A 1AA"],
]


def finding_on(shop: Shop, values: list[str], **how: Any) -> Any:
    shop.sends("users", ("card", "extra"), list(enumerate(values)))
    result = shop.landed("users", columns={"user_id": "card", "extra": "extra"}, **how)
    return finding_of(result, "personal_data")


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_look_personal_are_reported_and_not_shown(shop: Shop, kind: str) -> None:
    finding = finding_on(shop, KINDS[kind])
    assert not finding.passed
    share = 100 * sum(value not in ("x", "y", "none") for value in KINDS[kind]) / 4
    assert f"extra: {share:g} % are {kind}" in finding.message
    assert finding.severity == "warn"
    assert not any(value in repr(finding) for value in KINDS[kind] if len(value) > 4)
    assert finding_on(shop, KINDS[kind], personal=["extra"]).passed


@pytest.mark.parametrize("values", HARMLESS)
def test_values_that_only_resemble_are_left_alone(shop: Shop, values: list[str]) -> None:
    assert finding_on(shop, values).passed


def test_a_name_that_looks_personal_is_reported_unless_it_is_declared_plain(shop: Shop) -> None:
    shop.sends("media", ("m", "p", "k", "u", "mail"), [("1", "/a", "text", "u", None)])
    columns = {"media_id": "m", "path": "p", "kind": "k", "user_id": "u", "email": "mail"}
    assert "email: called as" in finding_of(shop.landed("media", columns=columns), "personal_data").message
    assert finding_of(shop.landed("media", columns=columns, plain=["email"]), "personal_data").passed
