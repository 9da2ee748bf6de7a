"""What every model's file keeps: it is quick to import, and its parameters have bounds, words and search ranges."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from capflow_assets import models
from capflow_assets.contract import Search
from capflow_assets.definitions import STAGES
from capflow_assets_tests.models.market import NAMES

HEAVY = {"matplotlib", "mlflow", "numpy", "pandas", "pyspark", "scipy", "sklearn", "statsforecast", "torch", "xgboost"}
# One process for all of them: it says after which one something heavy was there.
IMPORTS = f"""
import importlib, sys
for name in {NAMES!r}:
    importlib.import_module(f"{models.__name__}.{{name}}")
    heavy = {HEAVY!r} & set(sys.modules)
    if heavy:
        sys.exit(print(name, *heavy))
"""


def test_importing_a_model_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize("name", NAMES)
def test_bounds_of_params_are_respected(name: str) -> None:
    params = STAGES.model(name).model.params
    schemas = params.model_json_schema()["properties"]
    for parameter, info in params.model_fields.items():
        assert info.description, parameter
        schema = schemas[parameter]
        for end, step in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
            if end in schema:
                with pytest.raises(ValidationError):
                    params.model_validate({parameter: schema[end] + step})
    with pytest.raises(ValidationError):
        params.model_validate({"no_such_parameter": 1})


@pytest.mark.parametrize("name", NAMES)
def test_search_ranges_lie_within_bounds_and_around_the_default(name: str) -> None:
    params = STAGES.model(name).model.params
    for parameter, info in params.model_fields.items():
        for search in (rule for rule in info.metadata if isinstance(rule, Search)):
            for value in (search.low, search.high):
                params.model_validate({parameter: value})
            assert search.low <= info.default <= search.high, parameter
            assert not search.log or search.low > 0, parameter
