"""One home of three customers, its platform, and the two backfills that the tests of this folder look at.

A backfill takes minutes, nearly all of them waiting for the daemon's next look. So the first one is launched before
the first test of this folder, and the tests that need its end come last of all.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.graph.launch import asset_edges
from capflow_assets.graph.model_assets import PARTS
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import FEW_FEATURES, TestHome
from capflow_assets_doubles.page_server import Server, serving

GOOD = ("c1", "c2")
BROKEN = "broken"
# The broken one stands in the middle, so that what comes after it is seen to go on.
# Files that lie in the home's customers folder when the platform starts: a good one, and one of no known source.
DROPPED, BAD = "dropped", "bad"
SENDS = ("bills", "users")
CUSTOMERS = (GOOD[0], BROKEN, GOOD[1])
# One that bills make ready, a rule, and one that these customers cannot have: each further one is a dozen runs of the
# daemon, which take seconds of imports and are more of the same.
MODELS = ("campaign_uplift", "lifetime_value", "rfm_segments")
OTHERS = {f"{part}/{name}" for part in PARTS for name in set(STAGES.models) - set(MODELS)}
ASSETS = tuple(key for key in asset_edges(STAGES) if key not in OTHERS)
SETTINGS = {
    **FEW_FEATURES,
    "only_models": list(MODELS),
    "models": {
        "lifetime_value": {"moments": 2},
        "rfm_segments": {"horizon_days": 90},
    },
}
WAITING = ("backfilled", "mended")


@dataclass(frozen=True)
class Platform:
    """The running platform, its home, where its customers' files lie, and the first backfill of everything."""

    server: Server
    home: TestHome
    files: Path
    backfill: str


@dataclass(frozen=True)
class Backfilled:
    """The first backfill when it was over, what it left of the broken customer, and the second one, launched since."""

    platform: Platform
    result: dict[str, Any]
    left: tuple[str, ...]
    again: str


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What waits for a backfill comes last, unless other processes go on meanwhile; it may wait long."""
    for item in items:
        if not {*WAITING}.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(1500))
    if hasattr(config, "workerinput"):
        return
    items.sort(key=lambda item: sum(name in getattr(item, "fixturenames", ()) for name in WAITING))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Three customers, one of whose files broke after it was onboarded, and one backfill of everything for all."""
    files = tmp_path_factory.mktemp("platform")
    home = TestHome(files / "home")
    for seed, name in enumerate(CUSTOMERS, start=1):
        brand = tiny(
            name,
            seed,
            users=200,
            campaigns=0,
            affinities=0,
            a=0.2,
            b=8,
            r=0.7,
            alpha_weeks=2.5,
            sends=SENDS,
        )
        home.ok("onboard", str(write(simulate(brand), files / name, settings=SETTINGS)))
    bills = files / BROKEN / "bills.csv"
    shutil.copy(bills, files / "bills.csv")
    # Packed, which is no fault, and cut off, which is one.
    bills.write_bytes(gzip.compress(bills.read_bytes())[:-20])
    good = home.root / "customers" / "c1.toml"
    for name, source in ((DROPPED, "csv"), (BAD, "cvs")):
        shutil.copytree(files / "c1", files / name)
        text = (
            good.read_text()
            .replace('name = "c1"', f'name = "{name}"')
            .replace('source = "csv"', f'source = "{source}"')
            .replace(str(files / "c1"), str(files / name))
        )
        good.with_stem(name).write_text(text)
    with serving(home.root) as server:
        yield Platform(server, home, files, server.backfill(ASSETS, CUSTOMERS))


@pytest.fixture(scope="session", autouse=True)
def launched(request: pytest.FixtureRequest) -> None:
    """Launch the first backfill early, if a test of this session needs it."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    # Where several processes share the tests, only the one that is handed those of the platform needs it.
    if "platform" in wanted and not hasattr(request.config, "workerinput"):
        request.getfixturevalue("platform")


@pytest.fixture(scope="session")
def backfilled(platform: Platform) -> Backfilled:
    """The first backfill at its end; then the file was mended and a second one launched, for the broken one only."""
    result = platform.server.finished_backfill(platform.backfill)
    left = tuple(sorted(path.parent.name for path in (platform.home.root / "lake" / BROKEN).glob("*/*/_delta_log")))
    shutil.copy(platform.files / "bills.csv", platform.files / BROKEN / "bills.csv")
    return Backfilled(platform, result, left, platform.server.backfill(ASSETS, [BROKEN]))


@pytest.fixture(scope="session")
def mended(backfilled: Backfilled) -> dict[str, Any]:
    """The second backfill at its end."""
    return backfilled.platform.server.finished_backfill(backfilled.again)


def downstream(asset: str) -> set[str]:
    """An asset and all that is made of it."""
    edges = asset_edges(STAGES)
    keys = {asset}
    for key in edges:
        if edges[key] & keys:
            keys.add(key)
    return keys
