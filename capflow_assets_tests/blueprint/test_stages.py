"""What the packages declare, and what is refused at load."""

from __future__ import annotations

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.errors import GraphError
from capflow_assets_tests.blueprint import stage_packages

TABLE = "from capflow_assets.contract import Column, Table\nTABLE = Table('thing', (Column('a', 'int', 'An a.'),))\n"


packages = stage_packages.packages


def test_a_new_file_is_a_new_table(packages):
    packages.write("raw", "bills", TABLE)
    packages.write("features", "counts", TABLE + "def counts(bills, as_of):\n    '''Counts.'''\n    return bills\n")
    stages = packages()
    assert stages.order == ("raw/bills", "features/counts")
    assert stages.tables["features/counts"].injected == ("as_of",)


def test_a_stage_file_that_yields_nothing_is_refused(packages):
    packages.write("features", "empty", TABLE)
    with pytest.raises(GraphError, match=r"features/empty.py yields nothing"):
        packages()


def test_a_check_that_returns_no_finding_is_refused(packages):
    packages.write("raw", "bills", TABLE)
    packages.write("validation", "odd", "def odd(bills) -> bool:\n    return True\n")
    with pytest.raises(GraphError, match="neither a table nor a check"):
        packages()


def test_tables_made_of_each_other_are_refused(packages):
    packages.write("clean", "one", TABLE + "def one(two):\n    return two\n")
    packages.write("clean", "two", TABLE + "def two(one):\n    return one\n")
    with pytest.raises(GraphError, match="made of each other"):
        packages()


def test_a_model_file_without_a_model_is_refused(packages):
    packages.write("models", "guess", "QUESTION = 'What?'\n")
    with pytest.raises(GraphError, match="declares no model"):
        packages()


def test_what_a_customer_lacks_takes_only_its_descendants():
    absent = STAGES.absent({"bills"})
    assert "clean/line_items" in absent
    assert "clean/items" in absent
    assert {"clean/bills", "clean/users", "features/rfm", "validation/report"}.isdisjoint(absent)


def test_bills_can_be_built_from_line_items_alone():
    absent = STAGES.absent({"line_items"})
    assert {"clean/bills", "features/rfm"}.isdisjoint(absent)


def test_a_customer_without_bills_and_line_items_has_no_features():
    absent = STAGES.absent({"users", "items"})
    assert {"clean/bills", "features/rfm", "features/rhythm"} <= set(absent)
    assert "clean/bills" in absent["features/rfm"]
