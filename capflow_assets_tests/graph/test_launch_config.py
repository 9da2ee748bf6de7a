"""What the launchpad of a model says of its parameters, and what it refuses before there is a run."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.snap.snap_to_yaml import default_values_yaml_from_type_snap

from capflow_assets.definitions import STAGES, defs
from capflow_assets.graph.launch_config import bounded_number, config_schema


def form(model: str) -> dict[str, dg.Field]:
    return dict(config_schema(STAGES.model(model))["params"].config_type.fields)


@pytest.fixture(scope="module")
def job() -> dg.JobDefinition:
    resolved = defs.resolve_implicit_job_def_def_for_assets([dg.AssetKey(["models", "churn"])])
    assert resolved is not None
    return resolved


def of_run(**params: Any) -> dict[str, Any]:
    return {"ops": {"churn_model": {"config": {"params": params}}}}


def test_every_parameter_of_every_model_says_its_default_and_bounds() -> None:
    for name, spec in STAGES.models.items():
        fields = form(name)
        assert set(fields) == set(spec.model.params.model_fields) - {"menu"}
        assert all("Default " in str(field.description) for field in fields.values())
    assert form("churn")["moments"].description == (
        "How many past as-of moments make the examples. Default 8; at least 2, at most 24."
    )
    assert str(form("churn")["learning_rate"].description).endswith(
        "Default 0.05; above 0, at most 1. Tuned between 0.01 and 0.3."
    )


def test_parameters_that_are_left_open_are_left_to_the_customers_toml(job: dg.JobDefinition) -> None:
    opened = dg.validate_run_config(job, {})["ops"]["churn_model"]["config"]
    assert opened["params"] == dict.fromkeys(form("churn"))
    assert opened["action"] == "retrain"


def test_the_form_opens_with_every_parameter_its_default_and_its_bounds(job: dg.JobDefinition) -> None:
    snapshot = job.get_job_snapshot()
    schema, (mode,) = snapshot.config_schema_snapshot, snapshot.mode_def_snaps
    text = default_values_yaml_from_type_snap(schema, schema.get_config_snap(mode.root_config_key))
    opened = yaml.safe_load(text)["ops"]["churn_model"]["config"]["params"]
    assert set(opened) == set(form("churn"))
    assert opened["moments"] == "default 8 (at least 2, at most 24)"
    assert opened["learning_rate"] == "default 0.05 (above 0, at most 1)"


def test_what_the_form_opens_with_is_left_open(job: dg.JobDefinition) -> None:
    params = dg.validate_run_config(job, of_run(moments="default 8 (at least 2, at most 24)", rounds=None))
    assert params["ops"]["churn_model"]["config"]["params"] == dict.fromkeys(form("churn"))


def test_types_name_their_bounds() -> None:
    assert bounded_number(float, {"gt": 0, "le": 1}).given_name == "Float, above 0, at most 1"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"moments": 1}, "a whole number at least 2, at most 24. Came: 1"),
        ({"learning_rate": 0}, "a number above 0, at most 1. Came: 0"),
        ({"rounds": 5001}, "a whole number at least 1, at most 5,000. Came: 5001"),
        ({"rounds": "many"}, "a whole number at least 1, at most 5,000. Came: 'many'"),
        ({"roundz": 5}, "roundz"),
        ({"menu": "all"}, "menu"),
    ],
)
def test_values_out_of_bounds_are_refused_with_words(job: dg.JobDefinition, params: dict[str, Any], words: str) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=words):
        dg.validate_run_config(job, of_run(**params))


def test_values_at_the_bounds_are_taken(job: dg.JobDefinition) -> None:
    params = {"moments": 2, "learning_rate": 1, "rounds": 5000}
    assert dg.validate_run_config(job, of_run(**params))["ops"]["churn_model"]["config"]["params"] == {
        **dict.fromkeys(form("churn")),
        **params,
    }
