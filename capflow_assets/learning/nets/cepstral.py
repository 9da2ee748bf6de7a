"""A small net over recordings: which of some classes a recording is of, whoever speaks.

A log-mel spectrogram becomes a smooth one (its first cepstral coefficients, in which a voice's pitch is not seen), each
coefficient less its mean and over its deviation in the recording, beside how it changes. Less its mean a vowel that is
held says nothing, so beside them stands how far the mean is from that of all recordings of the speaker: what a voice
and a line always add is in both. A speaker who is heard once has none; half of the steps know none. Two convolutions
over time, each at half of the last one's resolution, then a third, then means and largest values of a few stretches of
time.

Few speakers are learned from, so each step hears them otherwise than they spoke: with a vocal tract that is longer or
shorter, and not by the same factor everywhere (N. Jaitly, G. Hinton, "Vocal Tract Length Perturbation", ICML workshop
2013), faster here and slower there, sooner or later, in noise, and with a stretch of time masked (D. Park et al.,
"SpecAugment", Interspeech 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import nn

COEFFICIENTS = 16
NUMBERS = 3 * COEFFICIENTS
# By which factors of the mel scale a vocal tract is stretched, and how much they differ along it: by a line, by a wave.
TRACT, SLOPE, WAVE = 0.2, 0.06, 0.04
# The vocal tracts that an answer is the mean of.
HEARD_WITH = (0.94, 1.0, 1.06)
# How far ends move, in frames; the logarithm of how uneven speech becomes, and by how much a share of its time passes
# faster than the rest; where a noise's level lies, in deviations.
MOST_FRAMES, UNEVEN, FASTER, NOISE, QUIET = 4.0, 0.25, 0.3, (-3.5, -1.0), -3.0
MOST_MASKED = 7
# The share of recordings whose speaker is known from others, in training.
KNOWN = 0.5
STRETCHES = 4


class CepstralNet(nn.Module):
    """Scores of ``classes`` of rows of (frames, NUMBERS): ``cepstra`` of frames, and of what is the recording's own."""

    def __init__(self, classes: int, channels: int = 64, dropout: float = 0.3) -> None:
        super().__init__()
        sizes = ((NUMBERS, channels, 5), (channels, channels, 5), (channels, 2 * channels, 3))
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
    spectrograms: np.ndarray, own: np.ndarray, classes: np.ndarray, random: np.random.Generator, size: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """All recordings in some order, ``size`` at a time, each as it might have been spoken; ``own`` see ``own_lines``.

    A last batch of one recording is left out: nothing can be normalized by it.
    """
    order = random.permutation(len(spectrograms))
    for first in range(0, len(order), size):
        some = order[first : first + size]
        if len(some) > 1:
            yield _otherwise(spectrograms[some], own[some], random), classes[some]


def class_chances(net: CepstralNet, spectrograms: np.ndarray, own: np.ndarray, batch: int = 256) -> np.ndarray:
    """The chance of each class for each recording, the mean over vocal tracts: (rows, classes)."""
    parts = [np.empty((0, net.classes.out_features))]
    tracts = [np.array([[factor, 0.0, 0.0]]) for factor in HEARD_WITH]
    with torch.inference_mode():
        for first in range(0, len(spectrograms), batch):
            some = slice(first, first + batch)
            plain = np.maximum(spectrograms[some], QUIET)
            scores = [net(torch.from_numpy(_numbers(plain, own[some], tract))) for tract in tracts]
            parts.append(torch.stack([torch.softmax(score.double(), dim=1) for score in scores]).mean(dim=0).numpy())
    return np.concatenate(parts)


def own_lines(spectrograms: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """How far the mean spectrum of each recording is from that of all recordings of its speaker: (rows, bands).

    It is 0 for a speaker of one recording.
    """
    lines = spectrograms.mean(axis=1)
    _, places, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), lines.shape[1]))
    np.add.at(sums, places, lines)
    apart: np.ndarray = lines - (sums / counts[:, None])[places]
    return apart


def cepstra(coefficients: np.ndarray) -> np.ndarray:
    """Each coefficient (rows, frames, COEFFICIENTS) with mean 0 and deviation 1 over time, beside twice its slope."""
    centred = coefficients - coefficients.mean(axis=1, keepdims=True)
    even = centred / (centred.std(axis=1, keepdims=True) + 1e-3)
    slope = np.zeros_like(even)
    slope[:, 1:-1] = even[:, 2:] - even[:, :-2]
    both: np.ndarray = np.concatenate([even, slope], axis=2).astype("float32")
    return both


def through_tracts(spectrograms: np.ndarray, tracts: np.ndarray) -> np.ndarray:
    """Cepstral coefficients of the rows, heard through vocal tracts: (rows, frames, COEFFICIENTS).

    Each tract has a factor of the mel scale, which a line and a wave along the scale add to; one is that of all rows.
    """
    bands = spectrograms.shape[2]
    factor, slope, wave = (tracts[:, place, None] for place in range(3))
    along = (np.arange(bands) + 0.5)[None] / bands
    factors = factor + slope * (2 * along - 1) + wave * np.sin(2 * np.pi * along)
    return _between(spectrograms, np.clip(bands * along * factors - 0.5, 0, bands - 1), axis=2) @ _cosines(bands)


def _otherwise(spectrograms: np.ndarray, own: np.ndarray, random: np.random.Generator) -> np.ndarray:
    count, frames, _ = spectrograms.shape
    moved = _between(spectrograms, _times(count, frames, random), axis=1)
    level = random.uniform(*NOISE, (count, 1, 1)) + 0.3 * random.normal(size=moved.shape)
    noisy = np.logaddexp(2 * moved, 2 * level) / 2
    limits = np.array([TRACT, SLOPE, WAVE])
    tracts = np.array([1.0, 0.0, 0.0]) + random.uniform(-limits, limits, (count, 3))
    heard = _numbers(noisy, own * (random.random((count, 1)) < KNOWN), tracts)
    for row, length in enumerate(np.asarray(random.integers(0, MOST_MASKED + 1, count)).tolist()):
        first = random.integers(0, frames - length + 1)
        heard[row, first : first + length] = 0
    return heard


def _numbers(spectrograms: np.ndarray, own: np.ndarray, tracts: np.ndarray) -> np.ndarray:
    """What the net reads: (rows, frames, NUMBERS)."""
    of_frames = cepstra(through_tracts(spectrograms, tracts))
    beside = through_tracts(own[:, None], tracts).astype("float32")
    numbers: np.ndarray = np.concatenate([of_frames, np.repeat(beside, spectrograms.shape[1], axis=1)], axis=2)
    return numbers


def _times(count: int, frames: int, random: np.random.Generator) -> np.ndarray:
    """The frames at which rows of another course of time are read: (count, frames)."""
    begin, end = (random.uniform(-MOST_FRAMES, MOST_FRAMES, (count, 1)) for _ in range(2))
    course = np.linspace(0, 1, frames)[None] ** np.exp(random.uniform(-UNEVEN, UNEVEN, (count, 1)))
    waves = np.pi * random.integers(1, 4, (count, 1))
    course += random.uniform(-FASTER, FASTER, (count, 1)) * np.sin(waves * course) / waves
    return np.clip(begin + course * (frames - 1 + end - begin), 0, frames - 1)


def _between(spectrograms: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """The numbers at places between those of an axis, by their distance; ``places`` of each row, or of all."""
    before = places.astype(int)
    after, share = np.minimum(before + 1, spectrograms.shape[axis] - 1), places - before
    before, after, share = (np.expand_dims(part, 3 - axis) for part in (before, after, share))
    low, high = (np.take_along_axis(spectrograms, part, axis) for part in (before, after))
    between: np.ndarray = low * (1 - share) + high * share
    return between


@cache
def _cosines(bands: int) -> np.ndarray:
    """From bands to the first cepstral coefficients: (bands, COEFFICIENTS)."""
    from scipy.fft import dct

    cosines: np.ndarray = np.asarray(dct(np.eye(bands), type=2, norm="ortho", axis=0))[:COEFFICIENTS].T
    return cosines
