"""Whether the net over recordings learns what was planted in sound, in voices that it never heard."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import torch

from capflow_assets.encoders.sounds import heard
from capflow_assets.learning.nets.cepstral import (
    COEFFICIENTS,
    CepstralNet,
    cepstra,
    class_chances,
    class_loss,
    spoken_otherwise,
)
from capflow_assets.learning.nets.loop import Plan, train

SEED = 2


def glide(begin: float, end: float, random: np.random.Generator) -> np.ndarray:
    """The spectrogram of half a second that glides from one pitch to another, in noise."""
    hertz = np.linspace(begin, end, 4000)
    file = io.BytesIO()
    samples = 0.4 * np.sin(2 * np.pi * np.cumsum(hertz) / 8000) + 0.02 * random.normal(size=4000)
    soundfile.write(file, samples, 8000, format="WAV")
    spectrogram = heard(file.getvalue()).log_mel
    assert spectrogram is not None
    return spectrogram


def glides(pitches: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rising (0), falling (1) and level (2) ones of each pitch."""
    ends = [(pitch, pitch * up) for pitch in pitches for up in (1.6, 1 / 1.6, 1.0)]
    return np.array([glide(*both, random) for both in ends]), np.arange(len(ends)) % 3


def test_rising_falling_and_level_tones_are_told_apart_at_pitches_never_heard() -> None:
    random = np.random.default_rng(SEED)
    learned, held_out = (
        glides(random.uniform(low, high, count), random) for low, high, count in ((500, 900, 24), (950, 1300, 10))
    )
    torch.manual_seed(SEED)
    net = CepstralNet(3, channels=16)
    plan = Plan(SEED, epochs=20, batch=16, rate=0.01)
    course = train(net, lambda at, size: spoken_otherwise(*learned, at, size), class_loss, plan)
    assert course.losses[-1] < course.losses[0]
    chances = class_chances(net, held_out[0])
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
    # Of thirty, guessing gets ten.
    assert (chances.argmax(axis=1) == held_out[1]).mean() > 0.8


def test_neither_loudness_nor_the_timbre_of_a_line_is_seen() -> None:
    random = np.random.default_rng(SEED)
    numbers = random.normal(size=(2, 48, COEFFICIENTS))
    line = random.normal(size=COEFFICIENTS)
    # 0.001 is added to each deviation, of 0.6 or more here: a share of 0.0017 at most.
    np.testing.assert_allclose(cepstra(numbers), cepstra(3 * numbers + line), rtol=1.7e-3, atol=1e-6)


def test_a_batch_of_one_is_left_out_and_nothing_gets_no_chances() -> None:
    spectrograms, classes = np.zeros((5, 48, 40), dtype="float32"), np.arange(5)
    batches = list(spoken_otherwise(spectrograms, classes, np.random.default_rng(0), 4))
    assert [batch[0].shape for batch in batches] == [(4, 48, 2 * COEFFICIENTS)]
    assert class_chances(CepstralNet(3).eval(), spectrograms[:0]).shape == (0, 3)
