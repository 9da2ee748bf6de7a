"""Recordings as numbers: log-mel spectrograms of one size, and the cepstrum's means that need no net.

WAV, FLAC, OGG and MP3, of any rate and number of channels, as one channel of 8 kHz, which is what a telephone carries.
The quiet before and after what is said is left out. What cannot be decoded, or says nothing, is set aside with a
reason; what was clipped says so.

S. Davis, P. Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word Recognition", IEEE TASSP 28
(1980) for the mel-frequency cepstrum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ENCODER = "log-mel/2"
RATE = 8_000
LEAST_SECONDS, MOST_SECONDS = 0.05, 60
# Frames of 32 ms, every 10 ms.
FRAME, HOP = 256, 80
BANDS, LOWEST_HZ = 40, 60.0
CEPSTRUM = 20
# A spectrogram's frames, whatever the recording's length: it is stretched to so many.
FRAMES = 48
SILENT, CLIPPED, CLIPPED_SHARE = 1e-4, 0.999, 0.01
# Speech begins and ends where power is above this share of the way from the quiet frames to the loud ones, in
# logarithms; some frames around it stay. Where they differ by less, in nepers of power, nothing is quiet.
LOUD_SHARE, MARGIN, LEAST_RANGE = 0.25, 2, 2.0
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording: its ``log_mel`` (FRAMES, BANDS) with mean 0 and deviation 1, and the means and deviations of its
    ``cepstrum`` (2 x CEPSTRUM); None with the ``reason`` why it is set aside.
    """

    seconds: float = 0.0
    is_clipped: bool = False
    log_mel: np.ndarray | None = None
    cepstrum: np.ndarray | None = None
    reason: str = ""


def heard(content: bytes) -> Heard:
    """What a file of a recording holds; of a long one the first ``MOST_SECONDS``."""
    import io

    import numpy as np
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate = file.samplerate
            samples = file.read(MOST_SECONDS * rate, dtype="float32", always_2d=True)
    except Exception as error:  # bytes from outside break a decoder in any way they like
        return Heard(reason=f"cannot be decoded: {type(error).__name__}")
    seconds = len(samples) / rate
    if seconds < LEAST_SECONDS:
        return Heard(seconds, reason=f"lasts {seconds:.3f} seconds, less than {LEAST_SECONDS:g}")
    if not np.isfinite(samples).all():
        return Heard(seconds, reason="holds what is no number")
    peaks = np.abs(samples)
    if peaks.max() < SILENT:
        return Heard(seconds, reason="is silent")
    is_clipped = bool((peaks >= CLIPPED).mean() > CLIPPED_SHARE)
    bands = spoken(log_bands(_resampled(samples.mean(axis=1).astype(float), rate)))
    return Heard(seconds, is_clipped, _stretched(bands), _cepstrum(bands))


def log_bands(samples: np.ndarray) -> np.ndarray:
    """The logarithm of the power in ``BANDS`` mel bands, frame by frame: (frames, BANDS), of samples at ``RATE``."""
    import numpy as np

    padded = np.pad(samples, (0, max(0, FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1)) ** 2
    bands: np.ndarray = np.log(power @ filters().T + 1e-8)
    return bands


def spoken(bands: np.ndarray) -> np.ndarray:
    """The frames between the quiet at the beginning and the quiet at the end, at least one; (frames, BANDS).

    Power is the mean of three frames; quiet and loud are its 5th and 95th percentile.
    """
    import numpy as np

    power = np.logaddexp.reduce(bands, axis=1)
    smooth = np.convolve(np.pad(power, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    quiet, loud = np.quantile(smooth, [0.05, 0.95])
    if loud - quiet < LEAST_RANGE:
        return bands
    places = np.flatnonzero(smooth > quiet + LOUD_SHARE * (loud - quiet))
    return bands[max(0, places[0] - MARGIN) : places[-1] + 1 + MARGIN]


def filters() -> np.ndarray:
    """Triangles that are evenly wide in mel, which is how pitch is heard: (BANDS, FRAME / 2 + 1)."""
    import numpy as np

    def mel(hertz: np.ndarray) -> np.ndarray:
        return 2595 * np.log10(1 + hertz / 700)

    low_mel, high_mel = mel(np.array([LOWEST_HZ, RATE / 2])).tolist()
    places = np.linspace(low_mel, high_mel, BANDS + 2)
    corners = 700 * (10 ** (places / 2595) - 1)
    hertz = np.fft.rfftfreq(FRAME, 1 / RATE)[None, :]
    low, middle, high = (corners[shift : shift + BANDS, None] for shift in range(3))
    return np.maximum(0.0, np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)))


def _resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    from math import gcd

    from scipy.signal import resample_poly

    common = gcd(rate, RATE)
    resampled: np.ndarray = samples if rate == RATE else resample_poly(samples, RATE // common, rate // common)
    return resampled


def _stretched(bands: np.ndarray) -> np.ndarray:
    """So many frames, between two of the recording by their distance; mean 0 and deviation 1 over the whole."""
    import numpy as np

    places = np.linspace(0, len(bands) - 1, FRAMES)
    before = np.floor(places).astype(int)
    after, share = np.minimum(before + 1, len(bands) - 1), (places - before)[:, None]
    stretched = bands[before] * (1 - share) + bands[after] * share
    return ((stretched - stretched.mean()) / max(float(stretched.std()), 1e-6)).round(DECIMALS) + 0.0


def _cepstrum(bands: np.ndarray) -> np.ndarray:
    import numpy as np
    from scipy.fft import dct

    coefficients = dct(bands, type=2, norm="ortho", axis=1)[:, :CEPSTRUM]
    return np.concatenate([coefficients.mean(axis=0), coefficients.std(axis=0)]).round(DECIMALS) + 0.0
