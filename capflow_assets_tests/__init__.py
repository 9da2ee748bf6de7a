"""Tests. Native libraries read their settings when they are loaded, so these are set before anything is imported."""

import os

from capflow_assets.home import native_libraries

native_libraries.settle()
# Several processes share the cores, and the matrices are small: with more threads than one, most of them wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
