"""A small net over recordings: which of some classes a recording is of, whoever speaks.

A log-mel spectrogram becomes a smooth one (its first cepstral coefficients, in which a voice's pitch is not seen), each
coefficient less its mean and over its deviation in the recording, beside how it changes. Two convolutions over time,
each at half of the last one's resolution, then a third, then means and largest values of a few stretches of time.

Few speakers are learned from, so each step hears them otherwise than they spoke: with a longer or shorter vocal tract
(N. Jaitly, G. Hinton, "Vocal Tract Length Perturbation", ICML workshop 2013), faster, slower, sooner or later, in
noise, and with a stretch of time masked (D. Park et al., "SpecAugment", Interspeech 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

COEFFICIENTS = 16
# Bands that a vocal tract is stretched over, as factors of the mel scale; the middle one leaves it as it is.
TRACTS = np.linspace(0.84, 1.16, 17)
PLAIN = len(TRACTS) // 2
# The vocal tracts that an answer is the mean of.
HEARD_WITH = (PLAIN - 3, PLAIN, PLAIN + 3)
# How far ends move, in frames; the logarithm of how uneven speech becomes; where a noise's level lies, in deviations.
MOST_FRAMES, UNEVEN, NOISE, QUIET = 4.0, 0.25, (-3.5, -1.0), -3.0
MOST_MASKED = 7
STRETCHES = 4


class CepstralNet(nn.Module):
    """Scores of ``classes`` of rows of (frames, 2 x COEFFICIENTS) numbers, see ``cepstra``."""

    def __init__(self, classes: int, channels: int = 64, dropout: float = 0.3) -> None:
        super().__init__()
        sizes = ((2 * COEFFICIENTS, channels, 5), (channels, channels, 5), (channels, 2 * channels, 3))
        layers: list[nn.Module] = []
        for place, (size, following, width) in enumerate(sizes):
            layers += [nn.Conv1d(size, following, width, padding=width // 2, bias=False), nn.BatchNorm1d(following)]
            layers += [nn.ReLU(), *((nn.MaxPool1d(2), nn.Dropout(0.1)) if place < len(sizes) - 1 else ())]
        self.layers = nn.Sequential(*layers)
        self.dropout, self.classes = nn.Dropout(dropout), nn.Linear(4 * channels * STRETCHES, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The score of each class: (rows, classes)."""
        places = self.layers(rows.transpose(1, 2))
        pooled = (
            nn.functional.adaptive_avg_pool1d(places, STRETCHES),
            nn.functional.adaptive_max_pool1d(places, STRETCHES),
        )
        scores: torch.Tensor = self.classes(self.dropout(torch.cat(pooled, dim=1).flatten(1)))
        return scores


def class_loss(net: CepstralNet, rows: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, a tenth of it spread over all classes."""
    return nn.functional.cross_entropy(net(rows).float(), classes, label_smoothing=0.1)


def spoken_otherwise(
    spectrograms: np.ndarray, classes: np.ndarray, random: np.random.Generator, size: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """All recordings in some order, ``size`` at a time, each as it might have been spoken.

    A last batch of one recording is left out: nothing can be normalized by it.
    """
    order = random.permutation(len(spectrograms))
    for first in range(0, len(order), size):
        some = order[first : first + size]
        if len(some) > 1:
            yield _otherwise(spectrograms[some], random), classes[some]


def class_chances(net: CepstralNet, spectrograms: np.ndarray, batch: int = 256) -> np.ndarray:
    """The chance of each class for each recording, the mean over vocal tracts: (rows, classes)."""
    parts = [np.empty((0, net.classes.out_features))]
    with torch.inference_mode():
        for first in range(0, len(spectrograms), batch):
            some = np.maximum(spectrograms[first : first + batch], QUIET)
            scores = [net(torch.from_numpy(cepstra(some @ _tract(place)))) for place in HEARD_WITH]
            parts.append(torch.stack([torch.softmax(score.double(), dim=1) for score in scores]).mean(dim=0).numpy())
    return np.concatenate(parts)


def cepstra(coefficients: np.ndarray) -> np.ndarray:
    """Each coefficient (rows, frames, COEFFICIENTS) with mean 0 and deviation 1 over time, beside twice its slope."""
    centred = coefficients - coefficients.mean(axis=1, keepdims=True)
    even = centred / (centred.std(axis=1, keepdims=True) + 1e-3)
    slope = np.zeros_like(even)
    slope[:, 1:-1] = even[:, 2:] - even[:, :-2]
    both: np.ndarray = np.concatenate([even, slope], axis=2).astype("float32")
    return both


def _otherwise(spectrograms: np.ndarray, random: np.random.Generator) -> np.ndarray:
    count, frames, _ = spectrograms.shape
    begin, end = (random.uniform(-MOST_FRAMES, MOST_FRAMES, (count, 1)) for _ in range(2))
    course = np.linspace(0, 1, frames)[None] ** np.exp(random.uniform(-UNEVEN, UNEVEN, (count, 1)))
    places = np.clip(begin + course * (frames - 1 + end - begin), 0, frames - 1)
    before = places.astype(int)
    after, share, rows = np.minimum(before + 1, frames - 1), (places - before)[..., None], np.arange(count)[:, None]
    moved = spectrograms[rows, before] * (1 - share) + spectrograms[rows, after] * share
    level = random.uniform(*NOISE, (count, 1, 1)) + 0.3 * random.normal(size=moved.shape)
    noisy = np.logaddexp(2 * moved, 2 * level) / 2
    tracts = np.asarray(random.integers(0, len(TRACTS), count)).tolist()
    made = cepstra(np.stack([row @ _tract(place) for row, place in zip(noisy, tracts, strict=True)]))
    for row, length in enumerate(np.asarray(random.integers(0, MOST_MASKED + 1, count)).tolist()):
        first = random.integers(0, frames - length + 1)
        made[row, first : first + length] = 0
    return made


@cache
def _tract(place: int, bands: int = 40) -> np.ndarray:
    """From bands to the cepstral coefficients of a stretched vocal tract: (bands, COEFFICIENTS)."""
    from scipy.fft import dct

    stretched = np.zeros((bands, bands))
    for band in range(bands):
        at = min(max((band + 0.5) * float(TRACTS[place]) - 0.5, 0.0), bands - 1.0)
        low = int(at)
        stretched[low, band] += 1 - (at - low)
        stretched[min(low + 1, bands - 1), band] += at - low
    cosines: Any = dct(np.eye(bands), type=2, norm="ortho", axis=0)
    made: np.ndarray = stretched @ cosines[:COEFFICIENTS].T
    return made
