"""A small net over log-mel spectrograms: which of some classes a recording is of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import nn

# How far a training step shifts a spectrogram: frames, as people begin sooner or later, and bands, as voices differ.
MOST_FRAMES, MOST_BANDS = 4, 3


class SpectrogramNet(nn.Module):
    """Three layers of convolutions, each at half of the last one's resolution, and the mean over what is left."""

    def __init__(self, classes: int, channels: int = 16, dropout: float = 0.3) -> None:
        super().__init__()
        sizes = (1, channels, 2 * channels, 4 * channels)
        layers: list[nn.Module] = []
        for size, following in pairwise(sizes):
            layers += [nn.Conv2d(size, following, 3, padding=1, bias=False), nn.BatchNorm2d(following)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)
        self.dropout, self.classes = nn.Dropout(dropout), nn.Linear(2 * sizes[-1], classes)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """The score of each class, (rows, classes), of (rows, frames, bands)."""
        places = self.layers(spectrograms[:, None]).flatten(2)
        scores: torch.Tensor = self.classes(self.dropout(torch.cat([places.mean(dim=2), places.amax(dim=2)], dim=1)))
        return scores


def class_loss(net: SpectrogramNet, spectrograms: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, a tenth of it spread over all classes."""
    return nn.functional.cross_entropy(net(spectrograms).float(), classes, label_smoothing=0.1)


def shifted_batches(
    spectrograms: np.ndarray, classes: np.ndarray, random: np.random.Generator, size: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """All recordings in some order, ``size`` at a time, each shifted a little in time and pitch.

    A last batch of one recording is left out: nothing can be normalized by it.
    """
    order = random.permutation(len(spectrograms))
    for first in range(0, len(order), size):
        some = order[first : first + size]
        if len(some) > 1:
            frames = random.integers(-MOST_FRAMES, MOST_FRAMES + 1, len(some))
            bands = random.integers(-MOST_BANDS, MOST_BANDS + 1, len(some))
            yield shifted(spectrograms[some], frames, bands).astype("float32"), classes[some]


def shifted(spectrograms: np.ndarray, frames: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Each spectrogram moved by so many frames and bands; what is at the edge fills what gets free.

    >>> shifted(np.array([[[1, 2], [3, 4], [5, 6]]]), np.array([1]), np.array([0])).tolist()
    [[[1, 2], [1, 2], [3, 4]]]
    """
    rows = np.arange(len(spectrograms))[:, None, None]
    times = np.clip(np.arange(spectrograms.shape[1])[None, :] - frames[:, None], 0, spectrograms.shape[1] - 1)
    pitches = np.clip(np.arange(spectrograms.shape[2])[None, :] - bands[:, None], 0, spectrograms.shape[2] - 1)
    moved: np.ndarray = spectrograms[rows, times[:, :, None], pitches[:, None, :]]
    return moved


def class_chances(net: SpectrogramNet, spectrograms: np.ndarray, batch: int = 256) -> np.ndarray:
    """The chance of each class for each recording: (rows, classes)."""
    parts = [np.empty((0, net.classes.out_features), dtype="float32")]
    with torch.inference_mode():
        for first in range(0, len(spectrograms), batch):
            some = torch.from_numpy(spectrograms[first : first + batch].astype("float32"))
            parts.append(torch.softmax(net(some), dim=1).numpy())
    return np.concatenate(parts)
