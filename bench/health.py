"""Health of many features over many scores: seconds, beside Evidently's report of the same drift where it is installed.

Evidently wants other versions of what we use, so it runs in an environment of its own, whose interpreter is named by
``BENCH_EVIDENTLY``: ``python -m venv E && E/bin/pip install evidently==0.7.23 'pandas<2.3'``. A tenth of the columns
has moved. Both read the same Parquet files; only the report is timed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FEATURES, ROWS, SEED, THRESHOLD = 200, 1_000_000, 0, 0.25
MOVED = 10
# What is run by Evidently's interpreter: the population stability index and Jensen-Shannon's distance of each column.
EVIDENTLY = """
import json, sys, time
import pandas as pd
from evidently import Report
from evidently.metrics import ValueDrift
then, now = (pd.read_parquet(file) for file in sys.argv[1:])
began = time.perf_counter()
metrics = [ValueDrift(column=name, method=way) for name in then for way in ("psi", "jensenshannon")]
content = Report(metrics).run(now, then).dict()
seconds = time.perf_counter() - began
values = [float(metric["value"]) for metric in content["metrics"]]
print(json.dumps({"seconds": seconds, "psi": dict(zip(then, values[::2])), "js": dict(zip(then, values[1::2]))}))
"""


def run(features: int = FEATURES, rows: int = ROWS, seed: int = SEED) -> None:
    """Print seconds of both, and how many verdicts are the same."""
    from capflow_assets.monitoring.columns import measured
    from capflow_assets.monitoring.drift import reference

    then, now = frames(features, rows, seed)
    known = reference(then)
    began = time.perf_counter()
    own = measured(known, now, THRESHOLD).set_index("column")
    seconds = time.perf_counter() - began
    print(f"health: {features} features, {rows:,} rows: {seconds:.2f} s, {int(own['is_over'].sum())} over")  # noqa: T201
    python = os.environ.get("BENCH_EVIDENTLY")
    if not python:
        print("health: BENCH_EVIDENTLY names no interpreter, so nothing stands beside it", file=sys.stderr)  # noqa: T201
        return
    theirs = by_evidently(python, then, now)
    same = sum((theirs["psi"][name] > THRESHOLD) == bool(own.loc[name, "is_over"]) for name in own.index)
    # Evidently gives the distance, the root of the divergence in nats.
    apart = max(abs(theirs["js"][name] ** 2 / 0.6931 - float(own.loc[name, "js"])) for name in own.index)
    print(  # noqa: T201
        f"health: Evidently {theirs['seconds']:.2f} s, {theirs['seconds'] / seconds:.1f} x; {same} of {features} "
        f"verdicts the same; Jensen-Shannon apart by at most {apart:.3f} bits, of other bins"
    )


def frames(features: int, rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two samples of skewed columns; every tenth has moved."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(seed)

    def frame(moved: float) -> pd.DataFrame:
        columns = {}
        for place in range(features):
            factor = moved if place % MOVED == 0 else 1.0
            columns[f"feature_{place:03}"] = (random.gamma(2.0, 20.0, rows) * factor).astype("float32")
        return pd.DataFrame(columns)

    return frame(1.0), frame(2.0)


def by_evidently(python: str, then: pd.DataFrame, now: pd.DataFrame) -> dict[str, dict[str, float]]:
    """What Evidently's own interpreter measures of the same files."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("then.parquet", "now.parquet")]
        for frame, file in zip((then, now), files, strict=True):
            frame.to_parquet(file)
        command = [python, "-c", EVIDENTLY, *map(str, files)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return json.loads(done.stdout.strip().splitlines()[-1])
