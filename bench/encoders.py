"""What encoders tell apart, on real pictures, and how fast they are beside their own batch rate (``encoding_rates``).

``CAPFLOW_PICTURES`` is a folder of GroceryStoreDataset (``iconic-images-and-descriptions`` and ``val``, MIT); without
one, rates alone are measured. Intervals are of a bootstrap, 95 %.
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
    """Print the rates, and the figures of the pictures where there are some."""
    from bench import encoding_rates

    encoding_rates.run()
    if folder := os.environ.get("CAPFLOW_PICTURES"):
        pictures(Path(folder))


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
