"""Whether the net over recordings learns what was planted in sound, in voices that it never heard."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import torch

from capflow_assets.encoders.sounds import heard
from capflow_assets.learning.nets.cepstral import (
    COEFFICIENTS,
    NUMBERS,
    CepstralNet,
    cepstra,
    class_chances,
    class_loss,
    own_lines,
    spoken_otherwise,
    through_tracts,
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
    spectrograms, classes = learned
    own = own_lines(spectrograms, np.arange(len(classes)))
    course = train(net, lambda at, size: spoken_otherwise(spectrograms, own, classes, at, size), class_loss, plan)
    assert course.losses[-1] < course.losses[0]
    chances = class_chances(net, held_out[0], np.zeros((len(held_out[0]), 40)))
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
    spectrograms, own, classes = np.zeros((5, 48, 40), dtype="float32"), np.zeros((5, 40)), np.arange(5)
    batches = list(spoken_otherwise(spectrograms, own, classes, np.random.default_rng(0), 4))
    assert [batch[0].shape for batch in batches] == [(4, 48, NUMBERS)]
    assert class_chances(CepstralNet(3).eval(), spectrograms[:0], own[:0]).shape == (0, 3)


def test_a_recording_is_spoken_otherwise_each_time_and_the_same_by_one_seed() -> None:
    spectrograms = np.random.default_rng(SEED).normal(size=(8, 48, 40)).astype("float32")
    first, again, other = (
        next(spoken_otherwise(spectrograms, spectrograms[:, 0], np.arange(8), np.random.default_rng(seed), 8))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert np.isfinite(first[0]).all()
    assert not np.allclose(np.sort(first[0].ravel()), np.sort(other[0].ravel()), atol=0.01)


def test_a_line_of_bands_that_a_longer_vocal_tract_lowers_is_heard_as_before() -> None:
    """The middle of the three tracts of an answer is the speaker's own; the others move a resonance by 6 %."""
    bands = np.arange(40) + 0.5
    low, high = (np.exp(-(((bands - at) / 4) ** 2))[None, None] for at in (18.8, 20.0))
    shorter, plain = (np.array([[factor, 0.0, 0.0]]) for factor in (0.94, 1.0))
    moved, kept, unmoved = through_tracts(low, shorter), through_tracts(high, plain), through_tracts(low, plain)
    assert np.corrcoef(moved.ravel(), kept.ravel())[0, 1] > 0.99
    assert np.abs(moved - kept).max() < 0.5 * np.abs(unmoved - kept).max()


def test_what_a_recording_has_of_its_own_is_what_its_speaker_has_not() -> None:
    spectrograms = np.zeros((4, 48, 40)) + np.array([1.0, 3.0, 7.0, 5.0])[:, None, None]
    own = own_lines(spectrograms, np.array(["ana", "bea", "ana", "cid"]))
    # Ana's mean is 4; who is heard once differs from nobody.
    assert own[:, 0].tolist() == [-3.0, 0.0, 3.0, 0.0]
    # A voice or a line that adds to all recordings of a speaker changes nothing.
    line = np.random.default_rng(SEED).normal(size=40)
    np.testing.assert_allclose(own_lines(spectrograms + line, np.array(["ana", "bea", "ana", "cid"])), own, atol=1e-9)


def test_a_held_vowel_is_recognised_by_voices_that_are_heard_more_than_once() -> None:
    """Two vowels that do not change in time, by voices and lines of which each adds more than they differ."""
    random = np.random.default_rng(SEED)
    bands = np.arange(40)
    vowels = np.array([np.exp(-(((bands - at) / 5) ** 2)) for at in (12, 20)])

    def calls(voices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        speakers, classes = np.repeat(np.arange(voices), 6), np.tile([0, 1], 3 * voices)
        lines = random.normal(size=(voices, 4)) @ np.cos(np.pi * np.outer(np.arange(4), (bands + 0.5) / 40))
        still = (vowels[classes] + lines[speakers])[:, None]
        return still + 0.3 * random.normal(size=(len(classes), 48, 40)), speakers, classes

    spectrograms, speakers, classes = calls(16)
    own = own_lines(spectrograms, speakers)
    torch.manual_seed(SEED)
    net = CepstralNet(2, channels=8)
    plan = Plan(SEED, epochs=12, batch=16, rate=0.01)
    train(net, lambda at, size: spoken_otherwise(spectrograms, own, classes, at, size), class_loss, plan)
    spectrograms, speakers, classes = calls(10)
    own = own_lines(spectrograms, speakers)
    # Of sixty, guessing gets thirty.
    assert (class_chances(net, spectrograms, own).argmax(axis=1) == classes).mean() > 0.9
