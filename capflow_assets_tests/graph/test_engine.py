"""How the embedded engine is spoken to, and what is said where it may take too little memory."""

from __future__ import annotations

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.doctor import Case, examine
from capflow_assets.graph.build import build, deployment
from capflow_assets.graph.engine import Engine
from capflow_assets.home.places import Home
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.guarded_engine import guarded_engine
from capflow_assets_tests.platform.services import capflow

POOL = "SAIL_RUNTIME__MEMORY_POOL__GREEDY__MAX_SIZE"
BOUND = {"SAIL_RUNTIME__MEMORY_POOL__TYPE": "greedy", POOL: "300000"}


def test_a_large_result_is_not_packed():
    options = dict(Engine().spark_session.client._builder._channel_options)
    assert options["grpc.compression_enabled_algorithms_bitset"] == 1


def test_a_table_that_needs_more_memory_says_what_to_do_and_leaves_the_last_one(bills_only: TestHome, tmp_path):
    home = bills_only.copied(tmp_path / "home")
    before = home.rows("features/rfm", "young")
    said = capflow(home.root, "run", "young", "--select", "features/rfm", **BOUND)
    assert said.returncode == 1
    output = " ".join((said.stdout + said.stderr).split())
    assert "features/rfm needs more memory than the engine may take" in output
    assert f"allow it more: {POOL}" in output
    assert "Traceback" not in output
    assert home.rows("features/rfm", "young") == before


@pytest.mark.parametrize(("token", "state"), [("s3same-0pen", "ok"), ("guess-w0rd", "broken")])
def test_another_server_is_given_its_token_over_tls_and_it_is_not_shown(token: str, state: str, tmp_path, monkeypatch):
    with guarded_engine("s3same-0pen", tmp_path) as (port, trusted):
        monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(trusted))
        monkeypatch.setenv("CAPFLOW_ENGINE", f"sc://127.0.0.1:{port}/;use_ssl=true;token={token}")
        home = Home.of(tmp_path / "home")
        case = Case(home, lambda: deployment(STAGES, SOURCES, home=home), check_seconds=90)
        (result,) = examine(case, pattern="services.engine")
        (permission,) = examine(case, pattern="permissions.engine")
    assert result.state == state, result
    assert ("computed in" in result.found) == (state == "ok")
    assert permission.state == "ok"
    shown = (home, result, permission, deployment(STAGES, SOURCES, home=home).engine)
    assert token not in repr(shown)


def test_the_page_and_runs_are_given_the_variable_s_name_and_not_the_address_with_its_token(monkeypatch):
    monkeypatch.setenv("CAPFLOW_ENGINE", "sc://127.0.0.1:15002/;token=s3same-0pen")
    resource = build(STAGES, SOURCES).resources["pyspark"]
    assert "s3same-0pen" not in repr(resource) + repr(resource.model_dump())
    assert resource.process_config_and_initialize().engine == "sc://127.0.0.1:15002/;token=s3same-0pen"


def test_a_server_that_asks_for_no_token_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPFLOW_ENGINE", "sc://127.0.0.1:15002")
    home = Home.of(tmp_path / "home")
    (result,) = examine(Case(home, lambda: deployment(STAGES, SOURCES, home=home)), pattern="permissions.engine")
    assert (result.state, "token=" in result.to_do) == ("warning", True)
