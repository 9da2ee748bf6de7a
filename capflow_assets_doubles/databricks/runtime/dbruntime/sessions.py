"""The Spark session that a task finds: classic on a dedicated cluster, Spark Connect on the others."""

from __future__ import annotations

import os
from typing import Any

SERVERLESS_SETTINGS = frozenset(
    {
        "spark.databricks.execution.timeout",
        "spark.sql.ansi.enabled",
        "spark.sql.legacy.timeParserPolicy",
        "spark.sql.session.timeZone",
        "spark.sql.shuffle.partitions",
    }
)


def classic() -> dict[str, Any]:
    """A session of its own on the cluster's running Spark."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    gateway = launch_gateway()
    running = gateway.jvm.org.apache.spark.SparkContext.getOrCreate()
    java = gateway.jvm.org.apache.spark.api.java.JavaSparkContext.fromSparkContext(running)
    context = SparkContext(gateway=gateway, jsc=java, conf=SparkConf(_jvm=gateway.jvm, _jconf=java.getConf()))
    context.environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    own = SparkSession(context).newSession()
    gateway.jvm.SparkSession.setDefaultSession(own._jsparkSession)
    gateway.jvm.SparkSession.setActiveSession(own._jsparkSession)
    SparkSession._instantiatedSession = own
    SparkSession._activeSession = own
    return {"spark": own, "sc": context}


def connect(libraries: list[str], serverless: bool) -> dict[str, Any]:
    """A session over Spark Connect; the task's libraries go to its Python workers too."""
    from pyspark.sql import SparkSession

    if serverless:
        _limit()
    session = SparkSession.builder.getOrCreate()
    if libraries:
        session.addArtifacts(*libraries, pyfile=True)
    return {"spark": session}


def _limit() -> None:
    """What serverless compute refuses: settings beyond a few, and keeping frames in memory."""
    from pyspark.errors import AnalysisException
    from pyspark.sql.connect.conf import RuntimeConf
    from pyspark.sql.connect.dataframe import DataFrame

    allowed_set = RuntimeConf.set

    def limited_set(self: RuntimeConf, key: str, value: Any) -> None:
        if key not in SERVERLESS_SETTINGS:
            raise AnalysisException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. SQLSTATE: 42K0I")
        allowed_set(self, key, value)

    def refused(self: DataFrame, *_: Any, **__: Any) -> DataFrame:
        raise AnalysisException(
            "[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute. SQLSTATE: 0A000"
        )

    RuntimeConf.set = limited_set
    DataFrame.persist = DataFrame.cache = refused
