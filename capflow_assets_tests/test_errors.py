"""Messages are bounded, whatever was sent, and still name the nearest."""

from __future__ import annotations

import time

import pytest
import tomlkit

from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.errors import CapflowError, CustomerError, MappingError, NotFoundError, nearest
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.watermarks import readings
from capflow_assets.raw.bills import TABLE
from capflow_assets_tests.fuzz import good

MANY = 60_000
MOST = 8_000
COLUMNS = [f"column_{n}" for n in range(MANY)]
TABLES = {spec.name: spec.table for spec in STAGES.tables.values() if spec.stage == "raw"}


class Wide:
    """What landing asks of a frame before it refuses it: 60,000 columns cost an engine minutes."""

    columns = COLUMNS


def test_a_name_among_many_is_reported_with_the_nearest_and_how_many_more_there_are() -> None:
    message = str(NotFoundError.among("column", "colunm_59999", COLUMNS))
    assert "did you mean 'column_59999'?" in message
    assert "and 59,980 more" in message
    assert len(message) < MOST


def test_a_toml_of_unknown_columns_is_described_by_its_first_ones() -> None:
    toml = good("boots")
    header = "[tables.bills.columns]\n"
    text = tomlkit.dumps(toml).replace(header, header + "".join(f'amuont{n} = "x"\n' for n in range(MANY // 2)))
    with pytest.raises(CustomerError) as refused:
        parse_customer(text, "boots.toml", TABLES, SOURCES, list(STAGES.models))
    message = str(refused.value)
    assert "boots.toml has 30,000 problems" in message
    assert "did you mean 'amount'?" in message
    assert "more" in message.splitlines()[-1]
    assert len(message) < MOST


def test_a_source_of_many_columns_is_described_by_its_first_ones() -> None:
    with pytest.raises(MappingError) as unmapped:
        conform(Wide(), TABLE, {"user_id": "column_1"}, zone="UTC")
    assert "and 59,980 more" in str(unmapped.value)
    with pytest.raises(MappingError) as unknown:
        readings(Wide(), "colunm_77", None)
    assert "did you mean 'column_77'?" in str(unknown.value)
    assert max(len(str(unmapped.value)), len(str(unknown.value))) < MOST


def test_one_name_of_a_megabyte_is_shortened() -> None:
    name = "a" * (1 << 20)
    for error in (
        NotFoundError.among("table", name, ["raw/bills", name + "b"]),
        CapflowError(name, expected=name, came=name, where=name, do=name),
        CustomerError.listing("f.toml", [CapflowError(name, came=name)] * MANY),
    ):
        assert len(str(error)) < 13 * MOST
        assert "more" in str(error)


def test_a_long_name_is_not_compared_with_the_others() -> None:
    began = time.monotonic()
    assert nearest("ab" * (1 << 19), ["ba" * (1 << 19)]) == ""
    assert time.monotonic() - began < 60, "a comparison of two such names takes hours"
