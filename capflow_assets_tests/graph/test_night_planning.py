"""`capflow plan` and `capflow status --night` on a home: what is known, assumed and refused."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets_doubles.homes import TestHome, own_environment

TOML = """
name = "NAME"
vertical = "VERTICAL"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "NAME.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""
NIGHT = '[night]\nstart = "22:00"\ndeadline = "22:01"\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """Two customers of one vertical; of ``ann`` it is known that her tables take ten minutes, her scoring two."""
    folder = tmp_path_factory.mktemp("planned")
    home = TestHome(folder / "home")
    for name, night in (("ann", NIGHT), ("bob", "")):
        file = folder / f"{name}.toml"
        file.write_text(TOML.replace("NAME", name).replace("VERTICAL", "footwear") + night)
        home.ok("onboard", str(file))
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        for key, seconds in (("clean/bills", 400.0), ("features/rfm", 200.0), ("predictions/churn", 120.0)):
            asset = dg.AssetKey(key.split("/"))
            event = dg.AssetMaterialization(asset, partition="ann", metadata={"seconds": seconds})
            instance.report_runless_asset_event(event)
    return home


def test_a_plan_is_of_what_is_known_and_says_what_it_assumes(home: TestHome) -> None:
    plan = json.loads(home.ok("plan", "--cores", "1", "--memory", "16", "--format", "json"))
    assert (plan["customers"], plan["jobs"], plan["runs"], plan["assumed"]) == (2, 4, 4, 1)
    work = 2 * (600 + 120) * 1.3
    assert plan["work_seconds"] == work, "a run takes more than its assets, and bob what his vertical does"
    assert plan["makespan"] == work + 4 * 8
    assert plan["capacity"]["local"] == {"slots": 1, "memory_gib": 16.0}
    assert list(plan["late"]) == ["ann"]
    assert plan["what_would_help"][0]["change"] == "one more run at once"


def test_a_plan_fits_into_eighty_columns(home: TestHome) -> None:
    lines = home.ok("plan", "--customers", "+100", "--cores", "4", "--at", "20:00").splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "102 customers, 204 jobs" in text
    assert "local 4" in text
    assert "100 customers are added" in text
    assert "one more run at once" in text


def test_a_plan_is_drawn(home: TestHome, tmp_path: Path) -> None:
    file = tmp_path / "new" / "plan.png"
    said = home.capflow("plan", "--plot", str(file))
    assert said.code == 0
    assert "1 customers have no [night]" in said.out
    assert file.read_bytes().startswith(b"\x89PNG")
    assert str(file) in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--at", "8"),
        ("--at", "25:00"),
        ("--customers", "many"),
        ("--customers", "+\u00b2"),
        ("--cores", "0"),
        ("--memory", "nan"),
    ],
)
def test_what_cannot_be_planned_is_refused(home: TestHome, arguments: tuple[str, ...]) -> None:
    assert home.capflow("plan", *arguments).code == 2


def test_a_deadline_before_its_start_is_refused_when_a_customer_comes_in(home: TestHome, tmp_path: Path) -> None:
    file = tmp_path / "cid.toml"
    file.write_text(TOML.replace("NAME", "cid") + NIGHT.replace("22:01", "21:00"))
    said = home.capflow("onboard", str(file))
    assert said.code == 1
    assert "21:00 lies before it" in said.err


def test_a_home_whose_nights_nobody_runs_says_so(home: TestHome) -> None:
    assert "keep the daemon running" in home.ok("status", "--night")
    assert json.loads(home.ok("status", "--night", "--format", "json")) == []


def test_an_empty_home_has_nothing_to_plan(tmp_path: Path) -> None:
    assert "no customer yet" in TestHome(tmp_path / "empty").ok("plan")
