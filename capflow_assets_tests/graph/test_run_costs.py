"""What a run costs besides its work: memory of its processes, and the age of its own."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

from capflow_assets.graph.run_costs import peak_mib, process_seconds

CHILD = "block = bytearray(300 << 20); print('ready', flush=True); input()"


def test_the_memory_of_a_child_that_is_there_counts() -> None:
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        both = (psutil.Process(child.pid).memory_info().rss + psutil.Process().memory_info().rss) >> 20
        assert both > 300
        assert peak_mib() >= both - 1
        child.communicate("\n")


def test_the_age_of_this_process_is_that_of_the_system() -> None:
    age = process_seconds()
    assert age is not None
    assert abs(age - (time.time() - psutil.Process().create_time())) < 5
    time.sleep(0.05)
    assert (process_seconds() or 0) > age
