"""The same rows by drt-core, a reverse ETL of the open kind, from a file of DuckDB into PostgreSQL by its upsert.

It runs in an environment of its own, whose folder is named by ``BENCH_DRT``:
``python -m venv E && E/bin/pip install 'drt-core[postgres,duckdb]==1.2.1'``. Reading the rows from DuckDB is in its
time, as making them is in ours; ten thousand rows a batch, where its default is a hundred.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LOAD = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(f\"create table scores as from '{sys.argv[2]}'\")"
PROJECT = 'name: bench\nversion: "0.1"\nprofile: local\n'
SYNC = """
name: scores
model: select * from scores
destination:
  type: postgres
  host: 127.0.0.1
  port: {port}
  dbname: {database}
  user: {user}
  table: public.{table}
  upsert_key: [user_id]
sync:
  mode: full
  batch_size: 10000
  rate_limit: {{ requests_per_second: 1000 }}
"""


def seconds_of_drt(environment: Path, batches: Iterable[Any], port: int, database: str, user: str, table: str) -> float:
    """How long ``drt run`` takes; ``environment`` is the folder of its virtual environment.

    Raises:
        RuntimeError: it failed, with what it said.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder:
        home, rows = Path(folder), Path(folder, "scores.parquet")
        pq.write_table(pa.Table.from_batches(batches), rows)
        subprocess.run([environment / "bin" / "python", "-c", LOAD, home / "w.duckdb", rows], check=True)  # noqa: S603
        (home / ".drt").mkdir()
        (home / ".drt" / "profiles.yml").write_text(f"local:\n  type: duckdb\n  database: {home / 'w.duckdb'}\n")
        (home / "drt_project.yml").write_text(PROJECT)
        (home / "syncs").mkdir()
        (home / "syncs" / "scores.yml").write_text(SYNC.format(port=port, database=database, user=user, table=table))
        began = time.perf_counter()
        done = subprocess.run(  # noqa: S603
            [environment / "bin" / "drt", "run"],
            cwd=home,
            env={**os.environ, "HOME": folder, "DRT_TELEMETRY": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(re.sub(r"\s+", " ", done.stdout + done.stderr)[-1000:])
    return seconds
