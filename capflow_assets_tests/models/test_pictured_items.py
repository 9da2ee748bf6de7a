"""A customer with pictures, some of them none and of items that are not there: landed, trained, answered."""

from __future__ import annotations

from pathlib import Path

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import FEW_FEATURES, TestHome

ONLY = {"only_models": ["item_tags", "similar_items"]}


def test_items_are_recognised_by_their_pictures_whatever_else_lies_among_them(tmp_path: Path) -> None:
    brand = tiny("seen", seed=5, users=250, days=200, items=60, pictures_pct=90, tags_missing_pct=30, campaigns=0)
    world, home = simulate(brand), TestHome(tmp_path / "home")
    toml = write(world, tmp_path / "files", settings=FEW_FEATURES | ONLY)
    pictures = tmp_path / "files" / "pictures"
    (pictures / "I00002.png").write_bytes(b"no picture")
    (pictures / "unheard.png").write_bytes((pictures / "I00003.png").read_bytes())
    home.ok("onboard", str(toml))
    parts = ",".join(f"{part}/{model}" for part in ("+models", "predictions") for model in ONLY["only_models"])
    home.ok("run", "seen", "--select", parts)
    tags = [row for row in home.rows("predictions/item_tags", "seen") if row["attribute"] == "category"]
    truth = world.truth.items.set_index("item_id")["category"]
    missing = [row for row in tags if row["known_tag"] is None]
    assert {row["item_id"] for row in missing} == set(world.items.loc[world.items["category"].isna(), "item_id"])
    right = [row["likely_tag"] == truth[row["item_id"]] for row in missing]
    assert sum(right) > 0.8 * len(right)
    likes = home.rows("predictions/similar_items", "seen")
    assert "unheard" not in {name for row in likes for name in (row["item_id"], row["like_item_id"])}
    assert {row["item_id"] for row in likes} == set(truth.index)
