"""The three kinds of compute: the Spark session that a step finds, and what each of them refuses."""

from __future__ import annotations

import pytest
from databricks.sdk import WorkspaceClient

from capflow_assets_doubles.databricks.workspace import LocalWorkspace
from capflow_assets_tests.graph.databricks.wheels import Caller, wheel

WORKERS = """
import json

def doubled(batches):
    import pyarrow as pa
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"id": [value * 2 for value in batch.column(0).to_pylist()]})

def main():
    from pyspark.sql import SparkSession
    spark = SparkSession.builder.getOrCreate()
    rows = spark.range(3).mapInArrow(doubled, "id long").collect()
    print(json.dumps([type(spark).__module__, [row.id for row in rows]]))
"""
TRY = """
import json
def refused(call):
    try:
        call()
    except Exception as error:
        return str(error).split("]")[0].strip("[")
    return "done"
"""
CLASSIC, CONNECT = "pyspark.sql.session", "pyspark.sql.connect.session"
SESSIONS = {"dedicated": CLASSIC, "standard": CONNECT, "serverless": CONNECT}


@pytest.fixture
def caller(cluster: LocalWorkspace) -> Caller:
    return Caller(cluster, WorkspaceClient(host=cluster.url, token=cluster.token))


@pytest.mark.parametrize("mode", SESSIONS)
def test_a_script_finds_spark(mode: str, caller: Caller):
    code = "import json\nprint(json.dumps([type(spark).__module__, spark.range(7).count(), 'sc' in globals()]))"
    assert caller.ran(code, mode=mode).said == [SESSIONS[mode], 7, mode == "dedicated"]


@pytest.mark.parametrize("mode", SESSIONS)
def test_a_wheel_finds_spark_and_its_workers_find_the_wheel(mode: str, caller: Caller):
    built = wheel("workers_too", {"__init__.py": WORKERS}, {"go": "workers_too:main"})
    place = caller.upload("workers_too-0.1-py3-none-any.whl", built)
    task = {"python_wheel_task": {"package_name": "workers_too", "entry_point": "go"}}
    assert caller.ended(caller.submit(task, mode, (place,))).said == [SESSIONS[mode], [0, 2, 4]]


@pytest.mark.parametrize(("security", "mode"), [("SINGLE_USER", "dedicated"), ("USER_ISOLATION", "standard")])
def test_the_security_mode_of_a_new_cluster_decides(security: str, mode: str, caller: Caller):
    file = caller.upload("kind.py", "import json\nprint(json.dumps(type(spark).__module__))")
    cluster = {"spark_version": "18.0.x-scala2.13", "num_workers": 1, "data_security_mode": security}
    ended = caller.ended(caller.submit({"new_cluster": cluster, "spark_python_task": {"python_file": file}}))
    assert ended.said == SESSIONS[mode]


@pytest.mark.parametrize("mode", ["standard", "serverless"])
def test_without_the_classic_api_there_is_no_java_behind_the_session(mode: str, caller: Caller):
    code = TRY + "print(json.dumps([refused(lambda: spark.sparkContext), refused(lambda: spark._jvm)]))"
    assert caller.ran(code, mode=mode).said == ["JVM_ATTRIBUTE_NOT_SUPPORTED"] * 2


def test_serverless_takes_few_settings_and_keeps_no_frames(caller: Caller):
    code = (
        TRY
        + """
print(json.dumps([
    refused(lambda: spark.conf.set("spark.sql.session.timeZone", "UTC")),
    refused(lambda: spark.conf.set("spark.sql.adaptive.enabled", "false")),
    refused(lambda: spark.range(1).cache()),
]))
"""
    )
    expected = ["done", "CONFIG_NOT_AVAILABLE", "NOT_SUPPORTED_WITH_SERVERLESS"]
    assert caller.ran(code, mode="serverless").said == expected
    assert caller.ran(code, mode="standard").said == ["done"] * 3


@pytest.mark.parametrize("mode", SESSIONS)
def test_a_run_leaves_nothing_in_the_session_of_the_next(mode: str, caller: Caller):
    code = """
import json
key = "spark.sql.session.timeZone"
before = [spark.conf.get(key), spark.catalog.tableExists("left")]
spark.conf.set(key, "Asia/Tokyo"); spark.range(1).createOrReplaceTempView("left")
print(json.dumps(before))
"""
    assert caller.ran(code, mode=mode).said == caller.ran(code, mode=mode).said == ["UTC", False]
