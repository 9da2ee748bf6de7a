"""Pictures show category and colour, and switching them on changes nothing else."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from capflow_assets.encoders.pictures import Params, encoded
from capflow_assets.simulation.assortment import assortment
from capflow_assets.simulation.baskets import styles
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.pictures import PAINTS, picture
from capflow_assets.simulation.world import simulate

PICTURED = tiny("shop", seed=4, users=20, days=60, items=60, pictures_pct=100)


def test_the_nearest_picture_is_of_the_same_category_and_colour() -> None:
    items = simulate(PICTURED).items
    files = [picture(PICTURED, row) for row in items.to_dict("records")]
    seen = encoded(files, Params.model_validate({}))
    assert not any(seen.reasons)
    centred = seen.vectors - seen.vectors.mean(axis=0)
    cosines = centred @ centred.T / np.outer(*[np.linalg.norm(centred, axis=1)] * 2)
    np.fill_diagonal(cosines, -1)
    near = cosines.argmax(axis=1)
    for tag in ("category", "colour"):
        tags = items[tag].to_numpy()
        is_several = pd.Series(tags).map(pd.Series(tags).value_counts()).to_numpy() > 1
        assert (tags[near] == tags)[is_several].mean() > 0.8, tag


def test_the_middle_has_the_items_colour() -> None:
    for row in simulate(PICTURED).items.to_dict("records")[:12]:
        pixels = np.asarray(Image.open(io.BytesIO(picture(PICTURED, row))), dtype=float)
        assert np.abs(pixels[28:36, 28:36].mean(axis=(0, 1)) - PAINTS[str(row["colour"])]).max() < 8


def test_pictures_are_files_of_the_customers_and_nothing_else_moves(tmp_path: Path) -> None:
    brands = [PICTURED.model_copy(update={"pictures_pct": share}) for share in (0.0, 50.0)]
    plain, half = (tomllib.loads(write(simulate(one), tmp_path / str(one.pictures_pct)).read_text()) for one in brands)
    media = half["tables"].pop("media")
    assert plain == half
    assert media["source"] == "files"
    files = {file.name: file.read_bytes() for file in (tmp_path / "50.0" / "pictures").iterdir()}
    assert 20 < len(files) < 40
    again = write(simulate(brands[1]), tmp_path / "again").parent / "pictures"
    assert files == {file.name: file.read_bytes() for file in again.iterdir()}
    for name in ("bills.csv", "line_items.csv", "items.csv"):
        assert (tmp_path / "0.0" / name).read_bytes() == (tmp_path / "50.0" / name).read_bytes()


def test_some_items_are_sent_without_tags_which_the_truth_has() -> None:
    world = simulate(PICTURED.model_copy(update={"tags_missing_pct": 40}))
    is_bare = world.items["category"].isna()
    assert 10 < is_bare.sum() < 40
    assert world.items.loc[is_bare, "colour"].isna().all()
    pd.testing.assert_frame_equal(world.truth.items, simulate(PICTURED).items)


def test_shoppers_with_a_style_buy_its_colour_more_often() -> None:
    """Where one colour in six is one's own and strength is 2, its share is e^2 / (e^2 + 5) in place of a sixth."""
    shares = []
    for strength in (0.0, 2.0):
        brand = tiny("style", seed=4, users=300, items=120, style_strength=strength, affinities=0, campaigns=0)
        world, goods = simulate(brand), assortment(brand)
        own = styles(brand.model_copy(update={"style_strength": 2.0}), goods, 300)
        colour = pd.Series(dict(zip(world.users["user_id"], own, strict=True)))
        lines = world.line_items.dropna(subset="user_id").merge(world.items[["item_id", "category", "colour"]])
        lines = lines[lines["category"].isin(["boots", "trainers", "sandals"])]
        mine = colour.reindex(lines["user_id"]).to_numpy()
        shares.append((lines["colour"] == mine)[mine != "clear"].mean())
    assert shares[0] == pytest.approx(1 / 6, abs=0.05)
    assert shares[1] == pytest.approx(np.e**2 / (np.e**2 + 5), abs=0.1)
