from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import capflow_assets
from capflow_assets.blueprint.code_version import code_digest, code_files

PACKAGE = Path(capflow_assets.__file__).parent
# Importing any of them would end the test.
END = "raise SystemExit\n"
SOURCES = {
    "shop/__init__.py": "",
    "shop/block.py": "from typing import TYPE_CHECKING\n"
    "import json, shop.sums as s\n"
    "if TYPE_CHECKING:\n    from shop import for_checkers\n"
    "else:\n    import shop.at_run\n"
    "def block():\n    from shop.rooms import lazy, NUMBER\n",
    "shop/sums.py": "from shop.block import block\nfrom .rooms.deep import deeper\n",
    "shop/at_run.py": "",
    "shop/for_checkers.py": "",
    "shop/unrelated.py": "import shop.sums\n",
    "shop/rooms/__init__.py": "NUMBER = 1\n",
    "shop/rooms/lazy.py": "from . import beside\nfrom .. import json_like\n",
    "shop/rooms/beside.py": "",
    "shop/rooms/unrelated.py": "",
    "shop/rooms/deep.py": "deeper = 1\n",
    "shop/json_like.py": "",
    "json.py": "",
}
COVERED = {
    *("__init__.py", "block.py", "sums.py", "at_run.py", "json_like.py"),
    *(f"rooms/{name}.py" for name in ("__init__", "lazy", "beside", "deep")),
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text + END)
    return tmp_path / "shop"


def test_the_files_are_those_that_are_imported_directly_or_through_others(shop: Path) -> None:
    assert set(code_files(shop / "block.py", shop)) == COVERED


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("shop/")])
def test_a_change_of_an_imported_file_changes_the_digest_and_of_an_unrelated_one_does_not(
    shop: Path, name: str
) -> None:
    before = code_digest(shop / "block.py", shop)
    changed = shop.parent / name
    changed.write_text(changed.read_text() + "# changed\n")
    is_covered = name.removeprefix("shop/") in COVERED
    assert (code_digest(shop / "block.py", shop) != before) is is_covered
    changed.write_text(SOURCES[name] + END)
    assert code_digest(shop / "block.py", shop) == before


def test_a_new_import_is_seen_at_once(shop: Path) -> None:
    digest = code_digest(shop / "block.py", shop)
    (shop / "rooms/deep.py").write_text("import shop.unrelated\n")
    assert "unrelated.py" in code_files(shop / "block.py", shop)
    assert code_digest(shop / "block.py", shop) != digest


def test_a_file_outside_of_the_package_is_covered_with_what_it_imports_of_it(shop: Path) -> None:
    outside = shop.parent / "own_block.py"
    outside.write_text("from shop.rooms import deep\nfrom . import elsewhere\n")
    assert set(code_files(outside, shop)) == {"own_block.py", "__init__.py", "rooms/__init__.py", "rooms/deep.py"}


def test_the_digest_does_not_depend_on_where_the_package_lies(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "shop"
    shutil.copytree(shop, copy)
    assert code_digest(copy / "block.py", copy) == code_digest(shop / "block.py", shop)


def test_blocks_and_models_are_covered_with_the_rooms_that_they_import() -> None:
    recursive = code_files(PACKAGE / "features/recursive_candidates.py")
    assert {"synthesis/kernels.py", "expressions/known_at.py", "contract/tables.py"} <= set(recursive)
    rfm = code_files(PACKAGE / "features/rfm.py")
    assert "expressions/visits.py" in rfm
    assert not [name for name in rfm if name.startswith(("synthesis/", "features/user_item"))]
    assert "learning/calibration.py" in code_files(PACKAGE / "models/purchase_propensity.py")
