"""How the embedded engine is spoken to, and what is said where it may take too little memory."""

from __future__ import annotations

from capflow_assets.graph.engine import Engine
from capflow_assets_tests.homes import TestHome
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
    told = " ".join((said.stdout + said.stderr).split())
    assert "features/rfm needs more memory than the engine may take" in told
    assert f"allow it more: {POOL}" in told
    assert "Traceback" not in told
    assert home.rows("features/rfm", "young") == before
