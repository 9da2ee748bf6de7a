"""Which digit is spoken, by voices that were never heard: nets over spectrograms against a linear model.

Once for each speaker a customer sends all recordings with their digits as intents, those of that speaker the newest, so
that ``call_intent`` learns from the others and is judged by that voice, as any customer's is: TOML, landing, training,
predictions. Minutes a speaker on two cores.

    CAPFLOW_DIGITS=/path/to/recordings python -m bench spoken_digits
    python -m bench.spoken_digits /path/to/recordings [speaker ...]

Where no speakers are named the figures are written to ``bench/spoken_digits.md`` besides, after each of them.

The folder is that of the Free Spoken Digit Dataset (CC BY-SA 4.0): files such as ``7_jackson_0.wav``, at any depth.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

NAME, HORIZON_DAYS, DAYS = "digits", 28, 200
END = datetime(2024, 7, 1, 12, tzinfo=UTC)
PARAMS = {"horizon_days": HORIZON_DAYS, "nets": 2, "channels": 64, "epochs": 30, "seconds": 600}
MODEL = "call_intent"
# Of the nets, of the linear model and of the difference: value, low and high end.
Figures = list[tuple[float, ...]]
NOTE, BAR = Path(__file__).with_suffix(".md"), 0.75


def run() -> None:
    """Print the figures, where ``CAPFLOW_DIGITS`` names the folder."""
    if folder := os.environ.get("CAPFLOW_DIGITS"):
        measure(Path(folder))
    else:
        print("spoken_digits: CAPFLOW_DIGITS names no folder of the Free Spoken Digit Dataset")  # noqa: T201


def measure(dataset: Path, only: Sequence[str] = ()) -> None:
    """Of each speaker, and of all, the share of digits recognised, and how much more than by the linear model."""
    files = sorted(dataset.rglob("[0-9]_*_*.wav"))
    speakers = sorted({_speaker(file) for file in files})
    rows: list[Figures] = []
    decisions: list[str] = []
    for speaker in only or speakers:
        report, answered = judged(files, speaker)
        score, rival = report["metric"], report["baseline"]
        rows.append([(of["value"], of["low"], of["high"]) for of in (score, rival, rival["difference"])])
        words = ", ".join(_words(of) for of in rows[-1])
        decisions.append(f"{report['calibration']['error']:.3f} | {report['decision']['action']}")
        print(f"spoken_digits: {speaker}: nets, linear, difference {words}; {answered}; {decisions[-1]}")  # noqa: T201
        if not only:
            NOTE.write_text(_note(dict(zip(speakers, rows, strict=False)), decisions), encoding="utf-8")
    for words, figures in _means(rows).items():
        print(f"spoken_digits: {words}: {_words(figures)} of {len(rows)} voices")  # noqa: T201


def _means(rows: Sequence[Figures]) -> dict[str, tuple[float, ...]]:
    """The mean of the voices, of each way and of the difference, with its interval.

    Voices are independent of each other: the variance of a mean is the mean of the variances over their number.
    """
    import numpy as np

    values = np.array(rows)
    reach = 1.96 * np.sqrt((((values[..., 2] - values[..., 1]) / 3.92) ** 2).sum(axis=0)) / len(values)
    means = values[..., 0].mean(axis=0)
    ends = zip(means.tolist(), (means - reach).tolist(), (means + reach).tolist(), strict=True)
    return dict(zip(("nets", "linear", "nets over linear"), ends, strict=True))


def judged(files: Sequence[Path], speaker: str) -> tuple[dict[str, Any], str]:
    """The report of a training that the voice of ``speaker`` judges, and who answered how many recordings."""
    from bench.shop_photos import capflow

    with TemporaryDirectory() as folder:
        toml, home = written(files, Path(folder, "files"), speaker), Path(folder, "home")
        capflow(home, "onboard", str(toml))
        capflow(home, "run", NAME, "--select", f"+models/{MODEL},predictions/{MODEL}")
        report: dict[str, Any] = json.loads(capflow(home, "explain", NAME, MODEL, "--format", "json", "--version", "1"))
        rows = json.loads(capflow(home, "show", f"predictions/{MODEL}", "--customer", NAME, "--format", "json"))
    rungs = ", ".join(sorted({str(row["rung"]) for row in rows}))
    return report, f"{len(rows)} predictions by {rungs or 'nobody'}"


def written(files: Sequence[Path], folder: Path, speaker: str) -> Path:
    """The customer's files and TOML; the recordings of ``speaker`` are the newest that can be judged by."""
    import pandas as pd
    import tomlkit

    (folder / "calls").mkdir(parents=True)
    listed = []
    for file in files:
        copyfile(file, folder / "calls" / file.name)
        age = timedelta(days=1.5 * HORIZON_DAYS if _speaker(file) == speaker else 4 * HORIZON_DAYS)
        when = (END - age).isoformat()
        listed.append({"path": file.name, "intent": file.name[0], "speaker": _speaker(file), "recorded_at": when})
    pd.DataFrame(listed).to_csv(folder / "calls" / "calls.csv", index=False)
    days = [(END - timedelta(days=day)).strftime("%Y-%m-%d %H:%M:%S") for day in range(DAYS)]
    bills = {"bill_id": [f"b{day}" for day in range(DAYS)], "user_id": "u1", "billed_at": days, "amount": 10.0}
    pd.DataFrame(bills).to_csv(folder / "bills.csv", index=False)
    path = folder / f"{NAME}.toml"
    path.write_text(tomlkit.dumps(_settings(list(bills))), encoding="utf-8")
    return path


def _note(rows: dict[str, Figures], decisions: Sequence[str]) -> str:
    """The figures as a page, and what falls short."""
    table = [
        f"| {speaker} | {' | '.join(map(_words, figures))} | {decision} |"
        for (speaker, figures), decision in zip(rows.items(), decisions, strict=True)
    ]
    low = [speaker for speaker, figures in rows.items() if figures[0][0] < BAR]
    means = " | ".join(map(_words, _means(list(rows.values())).values()))
    unsure = [speaker for speaker, figures in rows.items() if figures[2][1] <= 0]
    lines = [
        "# Which digit is spoken, by voices that were never heard",
        "",
        "Written by `python -m bench.spoken_digits FOLDER`. Each speaker held out in turn, 95 % intervals. The",
        "figures are those of the report of a training, promoted or not. How the nets hear was chosen with these",
        "voices in view, by the share that is right of each, so other voices may be heard a little less well. The",
        "calibration error is what is beyond chance; above 0.1 a person is asked whether to promote.",
        "",
        "| speaker | nets | linear | difference | calibration error | decision |",
        "|---|---|---|---|---|---|",
        *table,
        f"| mean of {len(rows)} | {means} | | |",
        "",
        f"Below {BAR}: {', '.join(low) or 'none'}. Not surely above the linear model: {', '.join(unsure) or 'none'}.",
        "",
    ]
    return "\n".join(lines)


def _settings(bills: list[str]) -> dict[str, Any]:
    named = ("path", "kind", "media_type", "size_bytes", "sha256", "intent", "speaker")
    return {
        "name": NAME,
        "vertical": "grocery",
        "currency": "EUR",
        "time_zone": "UTC",
        "only_models": [MODEL],
        "tables": {
            "bills": {
                "source": "csv",
                "location": "bills.csv",
                "options": {"timestamp_format": "yyyy-MM-dd HH:mm:ss"},
                "columns": {name: name for name in bills},
            },
            "media": {
                "source": "files",
                "location": "calls",
                "options": {"manifest": "calls.csv", "kinds": ["audio"]},
                "columns": {
                    "media_id": "relative_path",
                    "modified_at": "recorded_at",
                    **{name: name for name in named},
                },
            },
        },
        "models": {MODEL: PARAMS},
    }


def _speaker(file: Path) -> str:
    return file.stem.split("_")[1]


def _words(of: Sequence[float]) -> str:
    value, low, high = of
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    measure(Path(sys.argv[1]), sys.argv[2:])
