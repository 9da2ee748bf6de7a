"""Spark's Python workers, with what a Delta table needs imported once, before each is forked."""

from __future__ import annotations

import deltalake  # noqa: F401
import pandas  # noqa: F401
import pyarrow.dataset
import pyarrow.parquet  # noqa: F401
from pyspark.daemon import manager

if __name__ == "__main__":
    manager()
