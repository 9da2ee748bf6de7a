"""How long the code location takes to load, against `import dagster` alone. Each in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 7
OURS = "import capflow_assets.definitions"
PEER = "import dagster"


def run() -> None:
    """Print the median seconds of both and their ratio; the budget is 2."""
    timings: dict[str, list[float]] = {PEER: [], OURS: []}
    for statement in timings:
        seconds(statement)
    for _ in range(ROUNDS):
        for statement, samples in timings.items():
            samples.append(seconds(statement))
    peer, ours = (statistics.median(samples) for samples in timings.values())
    ratio = statistics.median(b / a for a, b in zip(*timings.values(), strict=True))
    print(f"load: code location {ours:.2f} s, import dagster {peer:.2f} s, ratio {ratio:.2f} (budget 2)")  # noqa: T201


def seconds(statement: str) -> float:
    """The wall seconds of a new interpreter that runs one statement."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)  # noqa: S603
    return time.perf_counter() - began
