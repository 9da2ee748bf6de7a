"""A module of ``sources`` is a whole kind of store, or an error that says what it lacks."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from capflow_assets import sources
from capflow_assets.blueprint.sources import ABILITIES, read_sources
from capflow_assets.contract import ChecksLocations, HasFiles, ReadsNewerRows, Source
from capflow_assets.errors import GraphError

KIND = """
from pydantic import BaseModel
class Options(BaseModel):
    pass
def read(spark, location, options):
    return spark.range(1)
"""
CHECKED = KIND + "def check_location(location): pass\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of one kind of store and of what kinds share, to which tests add files."""
    folder = tmp_path / "shelf_of_stores"
    (folder / "reading").mkdir(parents=True)
    (folder / "__init__.py").write_text('SHARED = ("reading",)')
    (folder / "reading" / "__init__.py").write_text("")
    (folder / "shop.py").write_text(CHECKED)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("shelf_of_stores")
    for name in [name for name in sys.modules if name.startswith("shelf_of_stores")]:
        del sys.modules[name]


def add(package: ModuleType, file: str, text: str) -> None:
    path = Path(package.__path__[0], file)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_a_new_file_or_package_is_a_new_kind(package: ModuleType) -> None:
    add(package, "till.py", KIND)
    add(package, "ledger/__init__.py", KIND)
    kinds = read_sources(package)
    assert list(kinds) == ["ledger", "shop", "till"]
    assert isinstance(kinds["shop"], ChecksLocations)
    assert not isinstance(kinds["till"], ChecksLocations)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "Options, a pydantic model"),
        ("def read(spark, location, options): pass", "Options, a pydantic model"),
        ("class Options: pass\ndef read(spark, location, options): pass", "Options, a pydantic model"),
        (KIND.partition("def read")[0], "read(spark, location, options)"),
        (KIND + "def read_newer(spark, location, options, column, than): pass", "COMPARES_TEXT beside read_newer"),
        (KIND + "def exports(location, options, *, with_times=False): pass", "file_of beside exports"),
    ],
)
def test_an_incomplete_kind_is_an_error_and_not_absent(package: ModuleType, text: str, expected: str) -> None:
    add(package, "till.py", text)
    with pytest.raises(GraphError) as refusal:
        read_sources(package)
    assert expected in str(refusal.value)
    assert "shelf_of_stores.till" in str(refusal.value)


def test_the_kinds_of_store() -> None:
    kinds = read_sources(sources)
    assert list(kinds) == ["csv", "delta", "dynamodb", "excel", "files", "json", "mongodb", "parquet", "sql"]
    assert [name for name, kind in kinds.items() if isinstance(kind, HasFiles)] == ["csv", "excel", "json", "parquet"]
    newer = {name: kind.COMPARES_TEXT for name, kind in kinds.items() if isinstance(kind, ReadsNewerRows)}
    assert newer == {"delta": False, "dynamodb": True, "mongodb": True, "sql": False}


@pytest.mark.parametrize("protocol", [Source, *ABILITIES])
def test_what_kinds_do_takes_what_the_contract_says(protocol: type) -> None:
    for name, function in vars(protocol).items():
        if name.startswith("_"):
            continue
        expected = list(inspect.signature(function).parameters)[1:]
        kinds = [kind for kind in read_sources(sources).values() if hasattr(kind, name)]
        assert kinds
        for kind in kinds:
            assert list(inspect.signature(getattr(kind, name)).parameters) == expected, kind
