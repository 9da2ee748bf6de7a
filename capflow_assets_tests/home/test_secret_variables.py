"""Which variables a customer's TOML may name as secrets."""

from __future__ import annotations

import pytest

from capflow_assets.home import secret_variables
from capflow_assets_tests.neighbours import customer_of


@pytest.mark.parametrize(
    "name",
    ["CAPFLOW_POSTGRES_URL", "AWS_SECRET_ACCESS_KEY", "CAPFLOW_PERSONAL_KEY", "PGPASSWORD", "DATABRICKS_TOKEN", "HOME"],
)
def test_the_platforms_own_variables_are_no_secrets_of_a_customers(name: str) -> None:
    customer = customer_of("sql", "postgresql://h/d", table="t", password={"env": name})
    (problem,) = secret_variables.refused_variables(customer, (), {})
    assert "platform" in str(problem)
    assert secret_variables.refused_variables(customer, ("*",), {})


def test_a_variable_that_another_customer_names_is_its_own() -> None:
    customer = customer_of("sql", "postgresql://h/d", table="t", password={"env": "ANN_PASSWORD"})
    hers = {"ann": {"tables": {"bills": {"options": {"password": {"env": "ANN_PASSWORD"}}}}}}
    assert "no other customer" in str(secret_variables.refused_variables(customer, (), hers)[0])
    assert secret_variables.refused_variables(customer, (), {"ann": {}}) == []


@pytest.mark.parametrize(
    ("name", "is_fine"),
    [
        ("SPY_PASSWORD", True),
        ("SHARED_USER", True),
        ("ANN_PASSWORD", False),
        ("SPY_EU_PASSWORD", False),
        ("SPYGLASS", False),
    ],
)
def test_the_deployment_says_which_variables_are_a_customers(name: str, is_fine: bool) -> None:
    customer = customer_of("sql", "postgresql://h/d", table="t", password={"env": name})
    problems = secret_variables.refused_variables(customer, ("{CUSTOMER}_*", "SHARED_*"), {"ann": {}, "spy-eu": {}})
    assert (problems == []) is is_fine
