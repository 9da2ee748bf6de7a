"""Trees of tiny stage packages, for tests of what is read of them."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from capflow_assets.blueprint.reading import read_stages


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A tree of tiny stage packages: ``write(stage, name, code)`` adds a file, ``read()`` reads them all."""
    monkeypatch.syspath_prepend(str(tmp_path))
    root = f"stages_{abs(hash(str(tmp_path)))}"

    def write(stage: str, name: str, code: str) -> None:
        folder = tmp_path / root / stage
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(textwrap.dedent(code))

    def read():
        for stage in ("raw", "clean", "validation", "features", "models"):
            write(stage, "__init__", "")
        Path(tmp_path / root / "__init__.py").write_text("")
        __import__(root)
        names = ("raw", "clean", "validation", "features", "models")
        modules = {}
        for stage in names:
            __import__(f"{root}.{stage}")
            modules[stage] = sys.modules[f"{root}.{stage}"]
        return read_stages(modules)

    read.write = write  # type: ignore[attr-defined]
    return read
