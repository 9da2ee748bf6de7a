"""A module of ``delivery`` is a whole kind of destination, or an error that says what it lacks."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from capflow_assets import delivery
from capflow_assets.blueprint.destinations import read_destinations
from capflow_assets.errors import GraphError

KIND = """
from pydantic import BaseModel
class Options(BaseModel):
    pass
class Kind:
    options = Options
    resend = "never"
    tells = False
    def held(self, options, delivery): return None
    def newest(self, options, delivery): return None
    def send(self, options, delivery, batches): return None
    def withdraw(self, options, delivery): return None
DESTINATION = Kind()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of one kind of destination and of what kinds share."""
    folder = tmp_path / "places_to_send"
    folder.mkdir()
    (folder / "__init__.py").write_text('SHARED = ("stamps",)')
    (folder / "stamps.py").write_text("")
    (folder / "post.py").write_text(KIND)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("places_to_send")
    for name in [name for name in sys.modules if name.startswith("places_to_send")]:
        del sys.modules[name]


def test_the_kinds_are_the_files_but_for_what_they_share(package: ModuleType) -> None:
    assert list(read_destinations(package)) == ["post"]
    assert {"csv", "parquet"} <= set(read_destinations(delivery))


@pytest.mark.parametrize(
    ("taken", "put", "words"),
    [
        ("DESTINATION = Kind()", "", "nothing of that name"),
        ("options = Options", "options = dict", "a pydantic model"),
        ("def withdraw", "def withdrew", "no withdraw"),
        ('resend = "never"', 'resend = "always"', "one of idempotent, never"),
        ("tells = False", "tells = None", "true or false"),
    ],
)
def test_what_a_kind_lacks_is_said_at_load(package: ModuleType, taken: str, put: str, words: str) -> None:
    file = Path(str(package.__file__)).parent / "post.py"
    file.write_text(KIND.replace(taken, put))
    with pytest.raises(GraphError, match=words) as error:
        read_destinations(package)
    assert "places_to_send.post" in str(error.value)
