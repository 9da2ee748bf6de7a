"""The graph with dagster-databricks' own step launcher, configured as its documentation says; the benchmark's peer."""

import os
import warnings

from dagster import EnvVar
from dagster_databricks import databricks_pyspark_step_launcher

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.build import build

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _LAUNCHER = databricks_pyspark_step_launcher.configured(
        {
            "run_config": {
                "run_name": "stock",
                "cluster": {"existing": "dedicated-1"},
                "install_default_libraries": False,
            },
            "permissions": {},
            "databricks_host": {"env": "DATABRICKS_HOST"},
            "databricks_token": {"env": "DATABRICKS_TOKEN"},
            "secrets_to_env_variables": [],
            "env_variables": {
                name: os.environ.get(name, "")
                for name in ("CAPFLOW_HOME", "CAPFLOW_ENGINE", "DATABRICKS_HOST", "DATABRICKS_TOKEN", "BENCH_CODE")
            },
            "local_dagster_job_package_path": os.environ.get("BENCH_CODE", "."),
            "staging_prefix": "/stock",
            "poll_interval_sec": float(EnvVar("BENCH_POLL").get_value("0.5") or 0.5),
            "verbose_logs": True,
        }
    )

defs = build(STAGES, SOURCES, launcher=_LAUNCHER)
