"""Recordings of callers: what each wants is planted as a course of tones, in a voice of the caller's own, with noise.

Nothing that is said is speech. An intent is how pitch goes (up, down, to and fro); voices differ in pitch, timbre and
pace, and files in rate and loudness. A recording follows from the brand's seed and its row alone, and is made when
files are written.
"""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd

from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.clock import MINUTES_A_DAY, moments
from capflow_assets.simulation.streams import stream

COLUMNS = ("path", "user_id", "intent", "recorded_at", "rate")
# Pitches of a course, as factors of the voice's own.
COURSES = {
    "order": (0.8, 1.0, 1.3, 1.6),
    "complaint": (1.6, 1.3, 1.0, 0.8),
    "opening hours": (0.9, 1.4, 0.9, 1.4),
}
RATES = (8_000, 16_000, 22_050, 44_100)
CALLS_OF_A_VOICE = 4


def recordings(brand: Brand, users: pd.DataFrame) -> pd.DataFrame:
    """Who called when, and what for: one row per recording in the order of time; none where the brand has none."""
    if not brand.recordings or users.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    lots = stream(brand.seed, "recordings")
    count = brand.recordings
    voices = lots.choice(users["user_id"].to_numpy(), max(2, count // CALLS_OF_A_VOICE))
    minutes = np.sort(lots.integers(0, brand.days * MINUTES_A_DAY, count))
    return pd.DataFrame(
        {
            "path": [f"calls/{number + 1:05d}.wav" for number in range(count)],
            "user_id": lots.choice(voices, count),
            "intent": lots.choice(list(COURSES), count),
            "recorded_at": moments(brand, minutes),
            "rate": lots.choice(RATES, count),
        }
    )


def labels(brand: Brand, calls: pd.DataFrame) -> np.ndarray:
    """The intents as the customer labelled them: of some recordings nobody did."""
    is_labelled = stream(brand.seed, "labels of recordings").random(len(calls)) < brand.recordings_labelled_pct / 100
    return np.where(is_labelled, calls["intent"].to_numpy(dtype=object), np.array(None, dtype=object))


def sound(brand: Brand, call: Mapping[Hashable, object]) -> bytes:
    """The WAV file of a recording, given as its row."""
    import soundfile

    voice, draw = stream(brand.seed, f"voice {call['user_id']}"), stream(brand.seed, f"recording {call['path']}")
    pitch, timbre, pace = voice.uniform(250, 500), voice.uniform(0.3, 0.7), voice.uniform(0.4, 0.8)
    rate = int(str(call["rate"]))
    course = np.array(COURSES[str(call["intent"])])
    count = int(rate * pace * draw.uniform(0.8, 1.2))
    factors = np.interp(np.linspace(0, len(course) - 1, count), range(len(course)), course)
    hertz = pitch * draw.uniform(0.95, 1.05) * factors
    phase = 2 * np.pi * np.cumsum(hertz) / rate
    tones = sum(timbre**place * np.sin((place + 1) * phase) for place in range(4))
    samples = draw.uniform(0.1, 0.4) * np.asarray(tones) + draw.uniform(0.002, 0.03) * draw.normal(size=count)
    file = io.BytesIO()
    soundfile.write(file, samples.clip(-1, 1), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
