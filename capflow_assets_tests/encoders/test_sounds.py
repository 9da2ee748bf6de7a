"""Recordings as numbers: the same of any format and rate, and what becomes of those that say nothing."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from capflow_assets.encoders.sounds import BANDS, CEPSTRUM, FRAMES, RATE, filters, heard, log_bands, spoken


def tone(hertz: float, seconds: float = 0.5, rate: int = RATE, loud: float = 0.5) -> np.ndarray:
    return loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def file_of(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", **more: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, **more)
    return file.getvalue()


def centre_hertz(band: int) -> float:
    """The middle of a band, from evenly spaced places on the scale of mel."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (60, 4000))
    return float(700 * (10 ** ((low + (high - low) * (band + 1) / 41) / 2595) - 1))


@pytest.mark.parametrize("band", [8, 20, 33])
def test_a_tone_is_loudest_in_its_band(band: int) -> None:
    bands = log_bands(tone(centre_hertz(band)))
    assert (bands.argmax(axis=1) == band).all()
    assert filters().shape == (BANDS, 129)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2)])
def test_formats_rates_and_channels_hear_the_same(kind: str, rate: int, channels: int) -> None:
    reference, samples = heard(file_of(tone(700))), tone(700, rate=rate)
    again = heard(file_of(np.stack([samples] * channels, axis=1), rate, kind))
    assert again.seconds == pytest.approx(0.5, abs=0.15)
    assert again.log_mel is not None
    assert reference.log_mel is not None
    loudest = again.log_mel[8:-8].mean(axis=0).argmax()
    assert loudest == reference.log_mel[8:-8].mean(axis=0).argmax()


def test_shapes_are_one_and_loudness_does_not_count() -> None:
    loud, soft = heard(file_of(tone(500, 1.0))), heard(file_of(tone(500, 1.0, loud=0.05), subtype="FLOAT"))
    assert loud.log_mel is not None
    assert soft.log_mel is not None
    assert loud.log_mel.shape == (FRAMES, BANDS)
    assert loud.cepstrum is not None
    assert loud.cepstrum.shape == (2 * CEPSTRUM,)
    assert np.corrcoef(loud.log_mel.ravel(), soft.log_mel.ravel())[0, 1] > 0.9
    assert (loud.log_mel.mean(), loud.log_mel.std()) == pytest.approx((0, 1), abs=1e-4)


def test_quiet_around_what_is_said_is_left_out() -> None:
    random = np.random.default_rng(0)
    noise = 0.001 * random.normal(size=2 * RATE)
    said = slice(RATE // 2, RATE)
    noise[said] += tone(700) * (1 + 0.5 * tone(4))
    bands = spoken(log_bands(noise))
    # Half a second in frames of 10 ms, and up to 32 ms and two frames on either side.
    assert 46 <= len(bands) <= 60
    alone, padded = heard(file_of(noise[said])).log_mel, heard(file_of(noise)).log_mel
    assert alone is not None
    assert padded is not None
    assert np.corrcoef(alone[8:-8].mean(axis=0), padded[8:-8].mean(axis=0))[0, 1] > 0.95


@pytest.mark.parametrize("samples", [tone(700), 0.1 * np.random.default_rng(0).normal(size=4000), tone(700, 0.06)])
def test_where_nothing_is_quiet_all_of_it_is_said(samples: np.ndarray) -> None:
    bands = log_bands(samples)
    assert len(spoken(bands)) == len(bands)


def test_clipping_is_reported() -> None:
    assert heard(file_of(np.clip(tone(300, loud=3.0), -1, 1))).is_clipped
    assert not heard(file_of(tone(300))).is_clipped


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be decoded: LibsndfileError"),
        (b"no recording", "cannot be decoded: LibsndfileError"),
        (file_of(np.zeros(4000)), "is silent"),
        (file_of(tone(300)[:40]), "lasts 0.005 seconds, less than 0.05"),
        (file_of(np.full(4000, np.nan), subtype="FLOAT"), "holds what is no number"),
    ],
    # Not by their bytes: a file of floats says when it was made.
    ids=["empty", "text", "silence", "a click", "no numbers"],
)
def test_what_says_nothing_is_set_aside(content: bytes, reason: str) -> None:
    recording = heard(content)
    assert (recording.reason, recording.log_mel, recording.cepstrum) == (reason, None, None)


def test_of_a_long_recording_the_first_minute_is_heard() -> None:
    assert heard(file_of(tone(300, 70.0))).seconds == 60
