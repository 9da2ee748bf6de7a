"""The settings of Databricks: the shipped examples load, and what is wrong is reported with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets.errors import CapflowError
from capflow_assets.graph.databricks.settings import New, Settings, read_settings
from capflow_assets.graph.databricks.submitted_run import Submission, request

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "databricks"
VOLUME = "/Volumes/main/capflow/staging"
SERVERLESS = {"kind": "serverless"}


def settings(**changes: object) -> Settings:
    """Settings with one serverless compute, changed."""
    given = {"staging": VOLUME, "runs_on": {"*": "small"}, "compute": {"small": SERVERLESS}, **changes}
    return Settings.model_validate(given)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_examples_load(example: Path) -> None:
    configuration = read_settings(example)
    assert all(configuration.compute_of(work) for work, name in configuration.runs_on.items() if name != "orchestrator")


def test_there_are_examples_of_every_kind() -> None:
    kinds = {c.kind for example in EXAMPLES.glob("*.toml") for c in read_settings(example).compute.values()}
    assert kinds == {"new", "existing", "serverless"}


def test_a_model_chooses_by_name_and_the_rest_by_star() -> None:
    configuration = settings(runs_on={"deep": "small", "*": "orchestrator"})
    assert configuration.compute_of("deep") == ("small", configuration.compute["small"])
    assert configuration.compute_of("rfm_segments") is None
    assert settings(runs_on={}).compute_of("anything") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("staging = 1", "staging"),
        ('staging = "/tmp/x"\nruns_on = {}\ncompute = {a = {kind = "serverless"}}', "/Volumes/catalog/schema/volume"),
        ('staging = "dbfs:/x"\nruns_on = {"*" = "a"}\ncompute = {a = {kind = "serverless"}}', "staging on a volume"),
        (f'staging = "{VOLUME}"\nruns_on = {{"*" = "b"}}\ncompute = {{a = {{kind = "serverless"}}}}', "'b'"),
        (
            f'staging = "{VOLUME}"\nruns_on = {{}}\ncompute = {{a = {{kind = "new", spark_version = "18"}}}}',
            "either node_type_id or instance_pool_id",
        ),
        (
            f'staging = "{VOLUME}"\nruns_on = {{}}\ncompute = {{a = {{kind = "serverless"}}}}\n'
            'environment = {AWS_SECRET_ACCESS_KEY = "hunter2"}',
            "no secrets",
        ),
        ("staging = ", "not TOML"),
    ],
)
def test_what_is_wrong_is_reported(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "databricks.toml"
    file.write_text(text)
    with pytest.raises(CapflowError) as caught:
        read_settings(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CapflowError, match="CAPFLOW_DATABRICKS"):
        read_settings(tmp_path / "none.toml")


def submitted(compute: dict[str, object], size_bytes: int | None = None, **changes: object) -> dict[str, object]:
    configuration = settings(compute={"small": compute}, **changes)
    customers, costs = ("acme", "boots"), {"cost/center": "c"}
    submission = Submission("tables", "runs/1", "small", configuration.compute["small"], customers, costs)
    return request(configuration, submission, {}, [{"whl": f"{VOLUME}/code/w.whl"}], lambda: size_bytes)


NODES = {"kind": "new", "spark_version": "18", "node_type_id": "m", "gb_per_worker": 10.0, "max_workers": 6}


@pytest.mark.parametrize(("size_bytes", "most"), [(1, 1), (35 * 10**9, 4), (10**12, 6), (None, 6)])
def test_a_new_cluster_is_sized_by_the_cohorts_bytes(size_bytes: int | None, most: int) -> None:
    cluster = submitted(NODES, size_bytes)["tasks"][0]["new_cluster"]  # type: ignore[index]
    assert cluster.get("num_workers", cluster.get("autoscale", {}).get("max_workers")) == most


def test_a_new_cluster_bears_the_tags_of_its_costs_and_customers() -> None:
    cluster = submitted({**NODES, "tags": {"team": "crm"}})["tasks"][0]["new_cluster"]  # type: ignore[index]
    assert cluster["custom_tags"] == {"team": "crm", "cost/center": "c", "capflow_customers": "acme,boots"}


def test_serverless_names_its_budget_and_its_wheel() -> None:
    body = submitted({**SERVERLESS, "budget_policy_id": "p"}, can_view=["engineers"])
    assert body["budget_policy_id"] == "p"
    assert body["environments"][0]["spec"]["dependencies"] == [f"{VOLUME}/code/w.whl"]  # type: ignore[index]
    assert body["access_control_list"] == [{"group_name": "engineers", "permission_level": "CAN_VIEW"}]


def test_the_least_workers_are_kept() -> None:
    assert New(kind="new", spark_version="18", node_type_id="m", min_workers=3).workers(1) == (3, 3)
