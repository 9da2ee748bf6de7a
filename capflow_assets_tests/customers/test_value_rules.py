"""Whatever is wrong with a value in a TOML is said in words about the file, never in pydantic's about Python."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from capflow_assets.customers.checks_settings import CheckSettings
from capflow_assets.customers.customer import Customer, Retraining, TableSource
from capflow_assets.customers.toml_problems import validation_problems
from capflow_assets.customers.value_rules import CONTEXTUAL, RULES, rule_of
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.databricks.settings import Settings as Databricks
from capflow_assets.home.operator import Settings as Operator

MODELS: dict[str, type[BaseModel]] = {
    "customer": Customer,
    "table": TableSource,
    "retraining": Retraining,
    "check": CheckSettings,
    "databricks": Databricks,
    "operator": Operator,
    **{f"source {name}": module.Options for name, module in SOURCES.items()},
    **{f"destination {name}": destination.options for name, destination in STAGES.destinations.items()},
    **{f"model {name}": spec.model.params for name, spec in STAGES.models.items()},
    **{f"feature {spec.name}": spec.params for spec in STAGES.tables.values() if spec.params is not None},
}
WRONG = (
    *(None, True, "", " ", "x", "-1", "a" * 5_000, "1.5", 0, -1, 10**30, 1.5, -0.5, 1e300, math.nan, math.inf),
    *([], [1], ["a"], ["a"] * 500, [[]], {}, {"a": 1}, {"a": {"b": 1}}, {"env": 1}, {"env": "no name"}),
)
PYDANTIC = ("Input should", "String should", "Value error", "Extra inputs", "Field required", "valid ", "should have")
UNPLAIN = ("text of the form ^", "expected ")


def errors_of(model: type[BaseModel]) -> Iterator[tuple[Any, ValidationError]]:
    """Every field with every wrong value."""
    for name, info in model.model_fields.items():
        for value in WRONG:
            try:
                model.model_validate({info.alias or name: value})
            except ValidationError as error:
                yield (name, value), error


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_error_has_words_of_ours(name: str) -> None:
    kinds = {"value_error", "extra_forbidden", "missing", *RULES, *CONTEXTUAL}
    for given, error in errors_of(MODELS[name]):
        for problem in error.errors(include_url=False):
            assert problem["type"] in kinds, (given, problem)
        for words_of_it in validation_problems(error, "", list(MODELS[name].model_fields)):
            expected = str(words_of_it).partition("\n  Came:")[0]
            assert not any(words in expected for words in (*PYDANTIC, *UNPLAIN)), (given, str(words_of_it))


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ({"name": "Boots"}, "name", "at most 63 of a to z"),
        ({"currency": "eur"}, "currency", "three capital letters, such as EUR"),
        ({"vertical": 3}, "vertical", 'text in quotes, such as "one"'),
        ({"vertical": " "}, "vertical", "text that is not blank"),
        ({"tables": {}}, "tables", "at least 1 entry"),
        ({"tables": []}, "tables", "keys and values"),
        ({"retraining": {"k": 0}}, "retraining.k", "at least 1"),
        ({"retraining": {"psi": "a lot"}}, "retraining.psi", "a number"),
        ({"retraining": {"k": 1.5}}, "retraining.k", "a whole number"),
        ({"checks": {"landed": {"severity": "loud"}}}, "checks.landed.severity", "'warn', 'block' or 'off'"),
        ({"currncy": "EUR"}, "currncy is no key that is known", "did you mean 'currency'?"),
    ],
)
def test_a_problem_names_its_key_and_what_belongs_there(values: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Customer.model_validate(values)
    problems = [str(problem) for problem in validation_problems(caught.value, "", list(Customer.model_fields))]
    (problem,) = [text for text in problems if text.startswith((f"{key}.\n", f"{key}\n"))]
    assert words in problem


def test_a_validator_of_ours_speaks_for_itself() -> None:
    with pytest.raises(ValidationError) as caught:
        Retraining(k=3, n=2)
    assert rule_of(caught.value.errors()[0]) == "k at most n, which is 2; k is 3"
