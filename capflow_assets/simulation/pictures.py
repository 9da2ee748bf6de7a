"""Pictures of items: the shape tells the category, the colour the item's own. Drawn when files are written.

An item's picture follows from its row and the brand's seed alone: a shape of the category on a light ground, filled
with the colour that the item has, at a place, size and angle of its own, with noise over it. An item without a colour
has a grey one.
"""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping
from math import cos, pi, sin
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.streams import stream

if TYPE_CHECKING:
    import pandas as pd

SIDE, NOISE = 64, 6.0
COLOUR = "colour"
PAINTS = {
    "black": (25, 25, 28),
    "brown": (120, 70, 35),
    "white": (236, 232, 222),
    "red": (200, 30, 40),
    "navy": (30, 45, 120),
    "green": (35, 130, 60),
    "clear": (190, 215, 225),
}
GREY, GROUND = (128, 128, 128), (248, 246, 240)
# Corners of the shapes, by the category's place, and how far in every other corner lies; 60 corners are a circle.
SHAPES = ((4, 1.0), (60, 1.0), (3, 1.0), (10, 0.45), (6, 1.0), (8, 0.6), (5, 1.0), (14, 0.7))


def pictured(brand: Brand, items: pd.DataFrame) -> list[str]:
    """The items that have a picture: ``pictures_pct`` of them, drawn by the seed."""
    lots = stream(brand.seed, "pictures").random(len(items))
    return list(items["item_id"].to_numpy()[lots < brand.pictures_pct / 100])


def picture(brand: Brand, item: Mapping[Hashable, object]) -> bytes:
    """The picture of an item, given as a row of the items; a PNG of ``SIDE`` by ``SIDE``, the same for the same row."""
    from PIL import Image, ImageDraw

    draw = stream(brand.seed, f"picture {item['item_id']}")
    place = [category.name for category in brand.categories].index(str(item["category"]))
    corners, depth = SHAPES[place % len(SHAPES)]
    middle, size, turn = SIDE / 2 + draw.uniform(-3, 3, 2), SIDE * draw.uniform(0.33, 0.42), draw.uniform(-0.15, 0.15)
    image = Image.new("RGB", (SIDE, SIDE), GROUND)
    outline = [
        (
            float(middle[0] + size * (depth if corner % 2 else 1.0) * cos(turn + 2 * pi * corner / corners)),
            float(middle[1] + size * (depth if corner % 2 else 1.0) * sin(turn + 2 * pi * corner / corners)),
        )
        for corner in range(corners)
    ]
    paint = PAINTS.get(str(item.get(COLOUR)), GREY)
    ImageDraw.Draw(image).polygon(outline, fill=paint, outline=(60, 60, 60))
    noisy = np.asarray(image, dtype=float) + draw.normal(0, NOISE, (SIDE, SIDE, 3))
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype("uint8")).save(file, "PNG")
    return file.getvalue()
