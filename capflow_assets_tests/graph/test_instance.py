"""A home's Dagster, as commands open it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import yaml

from capflow_assets.graph.instance import LOCATION, REPOSITORY, open_instance
from capflow_assets.home.places import Home, shipped
from capflow_assets.processes.run_processes import this_process
from capflow_assets_doubles.homes import own_environment

HIDDEN_BY_DAGSTER = ".dagster/"


@dg.asset
def bills() -> None:
    """Nothing."""


def test_runs_of_a_terminal_are_of_the_workspace_so_that_the_timeline_shows_them(tmp_path: Path) -> None:
    with own_environment(), open_instance(Home.of(tmp_path / "home", {})) as instance:
        run = dg.materialize([bills], instance=instance).dagster_run
        (kept,) = instance.get_runs(dg.RunsFilter(tags={".dagster/repository": f"{REPOSITORY}@{LOCATION}"}))
        assert kept.run_id == run.run_id
        assert kept.remote_job_origin is not None
        assert kept.remote_job_origin.job_name == run.job_name
    (location,) = yaml.safe_load(shipped("workspace.yaml").read_text())["load_from"]
    assert location["python_module"]["location_name"] == LOCATION


def test_what_only_programs_read_of_a_runs_process_is_in_no_row_of_the_page(tmp_path: Path) -> None:
    with own_environment():
        tags = this_process(Home.of(tmp_path / "home", {})).tags("r1")
    assert all(tag.startswith(HIDDEN_BY_DAGSTER) for tag in tags), tags
