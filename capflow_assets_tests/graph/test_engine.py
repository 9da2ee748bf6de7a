"""How the embedded engine is started: what it may take of the machine, and what is said where that is too little."""

from __future__ import annotations

import os

from capflow_assets.graph.engine import POOL_SHARE, Engine, memory_bytes
from capflow_assets_tests.homes import TestHome
from capflow_assets_tests.platform.services import capflow

POOL = "SAIL_RUNTIME__MEMORY_POOL__GREEDY__MAX_SIZE"


def test_the_engine_takes_a_share_of_what_the_process_may_have():
    assert Engine().spark_session.range(3).count() == 3
    assert int(os.environ[POOL]) == memory_bytes() // POOL_SHARE
    assert memory_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_large_result_is_not_packed():
    options = dict(Engine().spark_session.client._builder._channel_options)
    assert options["grpc.compression_enabled_algorithms_bitset"] == 1


def test_a_table_that_needs_more_memory_says_what_to_do_and_leaves_the_last_one(bills_only: TestHome, tmp_path):
    home = bills_only.copied(tmp_path / "home")
    before = home.rows("features/rfm", "young")
    said = capflow(home.root, "run", "young", "--select", "features/rfm", **{POOL: "300000"})
    assert said.returncode == 1
    told = " ".join((said.stdout + said.stderr).split())
    assert "features/rfm needs more memory than the engine may take" in told
    assert f"allow it more: {POOL}" in told
    assert "Traceback" not in told
    assert home.rows("features/rfm", "young") == before
