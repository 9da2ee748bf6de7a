"""Deliveries against bare writes of the same rows: to PostgreSQL against ``COPY``, to a bucket against Parquet files.

The PostgreSQL, the MariaDB and the S3 server (moto, on this machine) are real; the bare write is one COPY into a table
with the same key, the driver's own inserts of many rows, and pyarrow's own Parquet files of the same size. Beside them
drt-core, see ``bench.delivery_peer``. Peak memory is that of the process of the delivery, at a tenth of the rows and at
all of them. Run by ``python -m bench delivery``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROWS = 200_000
AT_ONCE = 65_536
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
PEAK = """
import json, re, sys
from importlib import import_module
from bench.delivery import batches, delivery
kind, options, rows = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
module = import_module(f"capflow_assets.delivery.{kind}")
module.DESTINATION.send(module.Options.model_validate(options), delivery(str(rows)), batches(rows))
# Of this program alone: what getrusage tells begins with what the process had before it.
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


def run(rows: int = ROWS) -> None:
    """Print the rates, their ratios and peak memory."""
    from capflow_assets_doubles.sql_servers import LOGIN, PASSWORD, PASSWORD_ENV, READER, postgres

    os.environ[PASSWORD_ENV] = PASSWORD
    with postgres() as server:
        server.run(f"grant all on schema public to {READER}")
        figures = _to_postgresql(server, rows, LOGIN)
    for name, figure in (figures | _to_mysql(rows) | _to_bucket(rows) | _memory(rows)).items():
        print(f"{name:<24} {figure:>12,.2f}")  # noqa: T201


def batches(rows: int) -> Iterator[Any]:
    """Scores as they are delivered."""
    import numpy as np
    import pyarrow as pa

    for start in range(0, rows, AT_ONCE):
        count = min(AT_ONCE, rows - start)
        numbers = np.arange(start, start + count)
        yield pa.RecordBatch.from_pydict({
            "user_id": pa.array([f"user-{number:09d}" for number in numbers]),
            "score": pa.array(numbers % 9973 / 9973),
            "band": pa.repeat("medium", count),
            "reasons": pa.repeat("no visit for 40 days; buys less than before", count),
            "as_of": pa.repeat(pa.scalar(AS_OF, pa.timestamp("us", tz="UTC")), count),
        })  # fmt: skip


def delivery(name: str) -> Any:
    """The delivery of those rows."""
    from capflow_assets.contract import DeliveredColumn, Delivery

    kinds = {"user_id": "string", "score": "double", "band": "string", "reasons": "string", "as_of": "timestamp"}
    columns = tuple(DeliveredColumn(column, kind) for column, kind in kinds.items())  # type: ignore[arg-type]
    digest, until = hashlib.sha256(name.encode()).hexdigest(), AS_OF + timedelta(days=7)
    return Delivery(digest, "bench", "churn", 1, AS_OF, until, name, columns, ("user_id",), "user_id")


def _to_postgresql(server: Any, rows: int, login: dict[str, Any]) -> dict[str, Any]:
    from capflow_assets.delivery.sql import DESTINATION, Options
    from capflow_assets.transfer.postgresql import CopyStream

    kinds = "user_id text primary key, score double precision, band text, reasons text, as_of timestamptz"
    server.run(f"create table bare ({kinds})")
    began = time.perf_counter()
    connection = server.connect()
    with connection, connection.cursor() as cursor:
        cursor.copy_expert("copy bare from stdin (format csv)", CopyStream(batches(rows)))
    connection.close()
    bare = time.perf_counter() - began
    options = Options.model_validate({"location": server.location(), "table": "scores_{model}", **login})
    began = time.perf_counter()
    DESTINATION.send(options, delivery("sql"), batches(rows))
    ours = time.perf_counter() - began
    return {
        "postgresql_rows_per_s": round(rows / ours),
        "copy_rows_per_s": round(rows / bare),
        "postgresql": bare / ours,
        **_by_drt(server, rows, ours, kinds),
    }


def _by_drt(server: Any, rows: int, ours: float, kinds: str) -> dict[str, Any]:
    """Nothing where ``BENCH_DRT`` names no environment."""
    from bench.delivery_peer import seconds_of_drt

    environment = os.environ.get("BENCH_DRT")
    if not environment:
        print("delivery: BENCH_DRT names no environment, so drt-core does not stand beside it", file=sys.stderr)  # noqa: T201
        return {}
    server.run(f"create table theirs ({kinds})")
    theirs = seconds_of_drt(Path(environment), batches(rows), server.port, "shop", server.owner, "theirs")
    ((count,),) = server.run("select count(*) from theirs")
    if count != rows:
        raise RuntimeError(f"drt delivered {count:,} of {rows:,} rows")
    return {"drt_rows_per_s": round(rows / theirs), "drt": theirs / ours}


def _to_mysql(rows: int) -> dict[str, Any]:
    """Nothing where this machine has no MariaDB."""
    import shutil

    from capflow_assets.delivery.mysql import DESTINATION, Options
    from capflow_assets_doubles.sql_servers import LOGIN, READER, mariadb

    if not (shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")):
        return {}
    kinds = "user_id varchar(255) primary key, score double, band text, reasons text, as_of datetime(6)"
    with mariadb() as server:
        server.run(f"create table bare ({kinds})", f"grant all on shop.* to {READER}@'127.0.0.1'")
        began = time.perf_counter()
        connection = server.connect()
        with connection, connection.cursor() as cursor:
            for batch in batches(rows):
                values = list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
                cursor.executemany("insert into bare values (%s, %s, %s, %s, %s)", values)
            connection.commit()
        bare = time.perf_counter() - began
        options = Options.model_validate({"location": server.location(), "table": "scores_{model}", **LOGIN})
        began = time.perf_counter()
        DESTINATION.send(options, delivery("mysql"), batches(rows))
        ours = time.perf_counter() - began
    return {"mysql_rows_per_s": round(rows / ours), "inserts_rows_per_s": round(rows / bare), "mysql": bare / ours}


def _to_bucket(rows: int) -> dict[str, Any]:
    import boto3
    import pyarrow as pa
    import pyarrow.parquet as pq
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    from capflow_assets.delivery.parquet import DESTINATION, Options

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="bench")
    store = fs.S3FileSystem(access_key="x", secret_key="y", endpoint_override=endpoint, region="us-east-1")  # noqa: S106
    began = time.perf_counter()
    for number, start in enumerate(range(0, rows, 250_000)):
        taken = pa.Table.from_batches(batches(min(250_000, rows - start)))
        pq.write_table(taken, f"bench/bare/{number}.parquet", compression="zstd", filesystem=store)
    bare = time.perf_counter() - began
    os.environ |= {"BENCH_KEY": "x", "BENCH_SECRET": "y"}
    secrets = {"access_key": {"env": "BENCH_KEY"}, "secret_key": {"env": "BENCH_SECRET"}}
    login = {"region": "us-east-1", "endpoint": endpoint, **secrets}
    options = Options.model_validate({"location": "s3://bench/ours", "login": login})
    began = time.perf_counter()
    DESTINATION.send(options, delivery("s3"), batches(rows))
    ours = time.perf_counter() - began
    server.stop()
    return {"parquet_rows_per_s": round(rows / ours), "bare_rows_per_s": round(rows / bare), "parquet": bare / ours}


def _memory(rows: int) -> dict[str, Any]:
    """Peak MiB of processes that deliver a tenth of the rows, and all, to a folder and to a PostgreSQL."""
    from capflow_assets_doubles.sql_servers import LOGIN, READER, postgres

    with tempfile.TemporaryDirectory() as folder, postgres() as server:
        server.run(f"grant all on schema public to {READER}")
        options = {
            "parquet": {"location": folder, "rows_per_file": 50_000},
            "sql": {"location": server.location(), "table": "scores_{model}", **LOGIN},
        }
        return {
            f"peak_mib_{kind}_{name}": int(
                subprocess.check_output([sys.executable, "-c", PEAK, kind, json.dumps(said), str(count)])  # noqa: S603
            )
            for kind, said in options.items()
            for name, count in (("tenth", rows // 10), ("all", rows))
        }


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
