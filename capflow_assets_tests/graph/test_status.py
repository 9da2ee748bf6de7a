"""`capflow status` says of all customers at once what it says of each, and what holds now."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets.stores.sound_files import FILE, SETTLED_NS
from capflow_assets_doubles.homes import TestHome

MODEL = "rfm_segments"


@pytest.fixture(scope="module")
def two(acme: TestHome, tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """``acme`` beside ``beta``, which was onboarded and never run. Do not change it."""
    home = acme.copied(tmp_path_factory.mktemp("two") / "home")
    home.ok("onboard", str(write(simulate(tiny("beta", seed=3, users=20, days=70)), home.root.parent / "files")))
    return home


def rows(home: TestHome, *arguments: str) -> list[dict[str, object]]:
    return json.loads(home.ok("status", "--format", "json", *arguments))


def test_the_rows_of_all_customers_are_those_of_each(two):
    every = rows(two)
    assert [row["customer"] for row in every] == sorted(str(row["customer"]) for row in every)
    assert every == [*rows(two, "--customer", "acme"), *rows(two, "--customer", "beta")]
    assert {row["status"] for row in every if row["customer"] == "beta"} == {"never run"}
    trained = [row for row in every if row["customer"] == "acme"]
    assert all(row["answers"] == row["champion"] and row["metric"] for row in trained if row["champion"])


def test_a_second_look_says_the_same_as_the_first(acme_copy):
    time.sleep(SETTLED_NS / 1e9)  # what was changed only now, as a copy is, is read again at the next look
    first = rows(acme_copy)
    assert len((acme_copy.root / FILE).read_text().split()) == sum(row["answers"] is not None for row in first) > 0
    assert rows(acme_copy) == first


def test_files_that_were_whole_in_an_earlier_look_are_broken_once_they_are_changed(acme_copy):
    version = acme_copy.status("acme")[MODEL]["champion"]
    assert version is not None
    model = Path(acme_copy.artifacts(MODEL, version)) / "model" / "model.skops"
    times = (model.stat().st_atime_ns, model.stat().st_mtime_ns)
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 0xFF
    model.write_bytes(content)
    os.utime(model, ns=times)
    row = acme_copy.status("acme")[MODEL]
    assert row["status"] == "broken champion"
    assert "not the one that was registered" in row["broken"]
