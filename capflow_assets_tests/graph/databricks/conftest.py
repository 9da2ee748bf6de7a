"""The workspace that the tests of the step launcher run on: a local one, or a real one where DATABRICKS_HOST is set.

Against a real workspace (``make test-databricks``) these say the rest: ``CAPFLOW_TEST_STAGING`` (a volume's folder),
``CAPFLOW_TEST_LAKE`` (an ``s3://`` prefix that both sides reach) and ``CAPFLOW_TEST_CLUSTERS`` (``dedicated=ID,
standard=ID``; serverless needs none). Tests that break the network or the compute on purpose are left out there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from capflow_assets_doubles.databricks.steps import environment
from capflow_assets_doubles.databricks.workspace import LocalWorkspace, local_workspace

REAL = "DATABRICKS_HOST" in os.environ


@pytest.fixture(scope="session")
def spark_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """A local workspace whose clusters run Spark on a JVM."""
    _refuse_real()
    with local_workspace(tmp_path_factory.mktemp("clusters")) as local:
        yield local


@pytest.fixture(scope="session")
def plain_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """A local workspace without Spark, where steps bring an engine of their own: for what is about runs alone."""
    _refuse_real()
    with local_workspace(tmp_path_factory.mktemp("workspace"), spark=False) as local:
        yield local


@pytest.fixture
def cluster(spark_workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    """The workspace with Spark, named in the environment, with nothing broken."""
    yield from _named(spark_workspace)


@pytest.fixture
def workspace(plain_workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    """The workspace without Spark, named in the environment, with nothing broken."""
    yield from _named(plain_workspace)


def _named(local: LocalWorkspace) -> Iterator[LocalWorkspace]:
    with environment(DATABRICKS_HOST=local.url, DATABRICKS_TOKEN=local.token):
        yield local
    local.faults.clear()


def _refuse_real() -> None:
    if REAL:
        pytest.skip("a real workspace is named, and this test needs one that can be broken or looked into")
