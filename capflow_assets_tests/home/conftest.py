"""Two customers in one home, of whom one tries to read the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from capflow_assets_tests.neighbours import Neighbours, neighbours


@pytest.fixture(scope="session")
def neighbourhood(tmp_path_factory: pytest.TempPathFactory) -> Neighbours:
    return neighbours(tmp_path_factory.mktemp("neighbours"))


@pytest.fixture
def both(neighbourhood: Neighbours) -> Iterator[Neighbours]:
    neighbourhood.clear()
    yield neighbourhood
    assert neighbourhood.stolen() == []
