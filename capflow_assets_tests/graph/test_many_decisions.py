"""Champions of a customer, a vertical and all: listed, decided about, and recorded with who, when and why."""

from __future__ import annotations

import dagster as dg
import pytest

from capflow_assets.definitions import defs
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.registry_draft import SIGNED
from capflow_assets_doubles.homes import TestHome, own_environment

MODEL = "rfm_segments"
OTHER = "lifetime_value"


def registry(home: TestHome) -> Registry:
    return Registry(f"sqlite:///{home.root / 'mlflow.db'}", str(home.root / "lake"))


def champions(home: TestHome, *models: str) -> list[int | None]:
    return [registry(home).champion("acme", model) for model in models]


def observed(home: TestHome, model: str) -> dict[str, object]:
    with own_environment(), dagster_instance(Home.of(home.root, {})) as instance:
        records = instance.fetch_observations(dg.AssetKey(["models", model]), limit=1).records
        assert records, "the decision is recorded"
        observation = records[0].event_log_entry.asset_observation
        assert observation is not None
        return {name: entry.value for name, entry in observation.metadata.items()}


def test_all_are_listed_then_rolled_back_and_frozen(acme_copy: TestHome) -> None:
    models = ("--model", MODEL, "--model", OTHER)
    before = champions(acme_copy, MODEL, OTHER)
    listed = acme_copy.ok("rollback", "--all", *models, "--dry-run")
    assert f"acme.{MODEL}: version {before[0]} -> " in listed
    assert "2 models of 1 customer would change" in listed
    assert champions(acme_copy, MODEL, OTHER) == before

    asked = acme_copy.capflow("rollback", "--all", *models)
    assert asked.code != 0, "nobody said yes"
    assert champions(acme_copy, MODEL, OTHER) == before

    acme_copy.ok("freeze", "acme", MODEL, "--reason", "stocktaking")
    said = acme_copy.ok("rollback", "--all", *models, "--yes", "--reason", "a bad night")
    assert f"acme.{MODEL} stays: acme.{MODEL} is frozen" in said
    assert champions(acme_copy, MODEL)[0] == before[0]
    assert champions(acme_copy, OTHER)[0] != before[1]
    assert {**observed(acme_copy, OTHER)}.items() >= {"decision": "rolled back", "reason": "a bad night"}.items()
    assert observed(acme_copy, MODEL)["decision"] == "frozen"
    signed = registry(acme_copy).client.get_model_version(f"acme.{MODEL}", str(before[0])).tags[SIGNED]
    assert signed.startswith("freeze by ")
    assert signed.endswith("UTC: stocktaking")

    acme_copy.ok("thaw", "acme", "--yes")
    assert not registry(acme_copy).frozen("acme", MODEL)
    assert "0 models of 0 customers would change" in acme_copy.ok("thaw", "--all", "--dry-run")


def test_a_vertical_is_one_that_a_customer_has(acme_copy: TestHome) -> None:
    vertical = next(
        line.split('"')[1]
        for line in (acme_copy.root / "customers" / "acme.toml").read_text().splitlines()
        if line.startswith("vertical")
    )
    assert f"acme.{MODEL}: version" in acme_copy.ok("freeze", "--vertical", vertical, "-m", MODEL, "--dry-run")
    unknown = acme_copy.capflow("freeze", "--vertical", vertical + "x", "--dry-run")
    assert unknown.code == 1
    assert vertical in unknown.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("acme", "--all"),
        ("--all", "--vertical", "food"),
        ("acme", MODEL, "--all"),
        ("--all", "--version", "1"),
    ],
)
def test_whom_it_is_for_must_be_clear(acme: TestHome, arguments: tuple[str, ...]) -> None:
    assert acme.capflow("promote", *arguments).code == 2


def test_operators_decide_by_a_job(acme_copy: TestHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPFLOW_HOME", str(acme_copy.root))
    job = defs.get_job_def("freeze_champions")

    def run(**config: object) -> str:
        with dagster_instance(Home.of()) as instance:
            given = {"ops": {"freeze": {"config": {"models": [MODEL], "reason": "stocktaking", **config}}}}
            result = job.execute_in_process(run_config=given, instance=instance)
            (output,) = [event for event in result.all_events if event.is_successful_output]
            return str(output.step_output_data.metadata["summary"].value)

    assert run(all=True) == "1 model of 1 customer would change (rfm_segments 1)"
    assert not registry(acme_copy).frozen("acme", MODEL), "a dry run unless somebody says otherwise"
    assert run(customers=["acme"], dry_run=False) == "1 model of 1 customer changed (rfm_segments 1)"
    assert registry(acme_copy).frozen("acme", MODEL)
    assert observed(acme_copy, MODEL)["reason"] == "stocktaking"
