"""The pitch of a recording carries its intent, at several sample rates; recordings are off by default."""

from __future__ import annotations

import csv
import io
import tomllib
from pathlib import Path

import numpy as np
import soundfile

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.recordings import RATES, recordings, sound
from capflow_assets.simulation.world import simulate

CALLED = tiny("shop", seed=4, users=20, days=60, recordings=40)


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[power.argmax()])


def test_pitch_goes_as_the_intent_says_at_any_rate() -> None:
    calls = recordings(CALLED, simulate(CALLED).users)
    assert set(calls["rate"]) == set(RATES)
    for row in calls.to_dict("records"):
        samples, rate = soundfile.read(io.BytesIO(sound(CALLED, row)))
        assert rate == row["rate"]
        third = len(samples) // 5
        rise = loudest_hertz(samples[-third:], rate) / loudest_hertz(samples[:third], rate)
        # Up from 0.8 to 1.6, down the same way, or to and fro, ending one step up.
        assert {"order": rise > 1.4, "complaint": rise < 0.7, "opening hours": 0.8 < rise < 1.9}[row["intent"]], rise


def test_files_come_with_a_list_of_who_called_and_what_for(tmp_path: Path) -> None:
    path = write(simulate(CALLED.model_copy(update={"pictures_pct": 100})), tmp_path)
    media = tomllib.loads(path.read_text(encoding="utf-8"))["tables"]["media"]
    assert (media["location"], media["options"]["manifest"]) == ("media", "calls.csv")
    with (tmp_path / "media" / "calls.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40 == len(list((tmp_path / "media" / "calls").glob("*.wav")))
    assert 0 < sum(not row["intent"] for row in rows) < 40
    assert len(list((tmp_path / "media" / "pictures").glob("*.png"))) == CALLED.items
    write(simulate(CALLED.model_copy(update={"recordings": 0})), tmp_path / "none")
    assert not (tmp_path / "none" / "media").exists()
