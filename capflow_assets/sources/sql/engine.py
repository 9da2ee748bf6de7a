"""Whether the session runs where the cluster has readers of its own for a kind of store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DATABRICKS_RUNTIME = "DATABRICKS_RUNTIME_VERSION"
DATABRICKS_SETTING = "spark.databricks.clusterUsageTags.sparkVersion"


def has_cluster_readers(spark: SparkSession) -> bool:
    """Whether the session is a Databricks cluster's, which brings its own JDBC, JSON and other readers.

    This process runs on the cluster, or speaks to it from afar. Serverless clusters refuse the setting's name: there,
    the process tells.
    """
    from pyspark.errors import PySparkException

    if os.environ.get(DATABRICKS_RUNTIME):
        return True
    try:
        return bool(spark.conf.get(DATABRICKS_SETTING, None))
    except PySparkException:
        return False
