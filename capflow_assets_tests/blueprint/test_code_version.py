from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import grimp
import pytest

import capflow_assets
from capflow_assets.blueprint.code_version import code_digest, code_digests, code_files
from capflow_assets.contract import Reads
from capflow_assets.definitions import STAGES

PACKAGE = Path(capflow_assets.__file__).parent
# Importing any of them would end the test.
END = "raise SystemExit\n"
HANDS_ON = (
    '"""Nouns."""\nfrom shop.nouns.noun import Thing as Noun\nfrom .other import Other\n__all__ = ["Noun", "Other"]\n'
)
SOURCES = {
    "shop/__init__.py": "",
    "shop/block.py": "from typing import TYPE_CHECKING\n"
    "import json, shop.sums as s\n"
    "if TYPE_CHECKING:\n    from shop import for_checkers\n"
    "else:\n    import shop.at_run\n"
    "from shop.nouns import Noun\n"
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
    "shop/nouns/__init__.py": HANDS_ON,
    "shop/nouns/noun.py": "",
    "shop/nouns/other.py": "",
    "json.py": "",
}
COVERED = {
    *("__init__.py", "block.py", "sums.py", "at_run.py", "json_like.py", "nouns/noun.py"),
    *(f"rooms/{name}.py" for name in ("__init__", "lazy", "beside", "deep")),
}


def written(text: str) -> str:
    return text if text == HANDS_ON else text + END


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(written(text))
    return tmp_path / "shop"


def test_the_files_are_those_that_are_imported_directly_or_through_others(shop: Path) -> None:
    assert set(code_files(shop / "block.py", package=shop)) == COVERED


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("shop/")])
def test_a_change_of_an_imported_file_changes_the_digest_and_of_an_unrelated_one_does_not(
    shop: Path, name: str
) -> None:
    before = code_digest(shop / "block.py", package=shop)
    changed = shop.parent / name
    changed.write_text(changed.read_text() + "# changed\n")
    is_covered = name.removeprefix("shop/") in COVERED
    assert (code_digest(shop / "block.py", package=shop) != before) is is_covered
    changed.write_text(written(SOURCES[name]))
    assert code_digest(shop / "block.py", package=shop) == before


def test_a_new_import_is_seen_at_once(shop: Path) -> None:
    digest = code_digest(shop / "block.py", package=shop)
    (shop / "rooms/deep.py").write_text("import shop.unrelated\n")
    assert "unrelated.py" in code_files(shop / "block.py", package=shop)
    assert code_digest(shop / "block.py", package=shop) != digest


@pytest.mark.parametrize(
    ("imported", "covered"),
    [
        ("from shop.nouns import Noun", {"noun"}),
        ("from shop.nouns import Other as Another", {"other"}),
        ("from shop.nouns.other import Other", {"other"}),
        ("from shop.nouns import other", {"other"}),
        ("import shop.nouns", {"__init__", "noun", "other"}),
        ("from shop import nouns", {"__init__", "noun", "other"}),
        ("from shop.nouns import *", {"__init__", "noun", "other"}),
    ],
)
def test_what_only_hands_names_on_covers_the_modules_that_they_come_from(
    shop: Path, imported: str, covered: set[str]
) -> None:
    (shop / "sums.py").write_text(f"{imported}\n")
    files = code_files(shop / "sums.py", package=shop)
    assert {name for name in files if name.startswith("nouns/")} == {f"nouns/{name}.py" for name in covered}
    # With code of its own it is a module like any other.
    (shop / "nouns/__init__.py").write_text(HANDS_ON + "NUMBER = 1\n")
    files = code_files(shop / "sums.py", package=shop)
    assert {f"nouns/{name}.py" for name in ("__init__", "noun", "other")} <= set(files)


def test_a_name_that_is_handed_on_from_elsewhere_is_seen_at_once(shop: Path) -> None:
    (shop / "nouns/__init__.py").write_text("from shop.unrelated import Noun\n")
    assert {"unrelated.py", "sums.py"} <= set(code_files(shop / "block.py", package=shop))
    assert "nouns/noun.py" not in code_files(shop / "block.py", package=shop)


def test_the_digest_of_several_files_does_not_depend_on_their_order(shop: Path) -> None:
    files = shop / "block.py", shop / "unrelated.py"
    assert code_digest(*files, package=shop) == code_digest(*files[::-1], package=shop)
    assert code_digest(*files, package=shop) != code_digest(files[0], package=shop)


def test_a_file_outside_of_the_package_is_covered_with_what_it_imports_of_it(shop: Path) -> None:
    outside = shop.parent / "own_block.py"
    outside.write_text("from shop.rooms import deep\nfrom . import elsewhere\n")
    assert set(code_files(outside, package=shop)) == {
        "own_block.py",
        "__init__.py",
        "rooms/__init__.py",
        "rooms/deep.py",
    }


def test_the_digest_does_not_depend_on_where_the_package_lies(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "shop"
    shutil.copytree(shop, copy)
    assert code_digest(copy / "block.py", package=copy) == code_digest(shop / "block.py", package=shop)


def test_blocks_and_models_are_covered_with_the_rooms_that_they_import() -> None:
    recursive = code_files(PACKAGE / "features/recursive_candidates.py")
    assert {"synthesis/kernels.py", "expressions/known_at.py", "contract/tables.py"} <= set(recursive)
    rfm = code_files(PACKAGE / "features/rfm.py")
    assert "expressions/visits.py" in rfm
    assert not [name for name in rfm if name.startswith(("synthesis/", "features/user_item"))]
    assert "learning/calibration.py" in code_files(PACKAGE / "models/purchase_propensity.py")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(PACKAGE, tmp_path_factory.mktemp("copy") / PACKAGE.name))


def changed_by(package: Path, edited: str, files: Iterable[Path]) -> bool:
    """Whether an edit of a file of the package changes the digest of others; it is undone."""
    copies = [package / file.relative_to(PACKAGE) for file in files]
    before, file = code_digest(*copies, package=package), package / edited
    text = file.read_text()
    file.write_text(text + "# edited\n")
    after = code_digest(*copies, package=package)
    file.write_text(text)
    return after != before


@pytest.mark.parametrize(
    ("edited", "changes"),
    [
        ("models/purchase_propensity.py", True),
        ("features/rfm.py", True),
        ("expressions/visits.py", True),
        ("learning/boosting.py", True),
        ("features/user_item.py", False),
        ("synthesis/kernels.py", False),
        ("learning/btyd.py", False),
        ("learning/__init__.py", False),
    ],
)
def test_a_models_version_covers_its_file_its_blocks_and_what_they_import(
    package: Path, edited: str, changes: bool
) -> None:
    assert changed_by(package, edited, STAGES.code_of(STAGES.model("purchase_propensity"))) is changes


@pytest.mark.parametrize(
    ("edited", "changes"),
    [
        ("features/user_item.py", True),
        ("expressions/days.py", True),
        ("contract/tables.py", True),
        ("synthesis/kernels.py", False),
        ("learning/interactions.py", False),
        ("contract/models.py", False),
        ("contract/__init__.py", False),
        ("expressions/__init__.py", False),
        ("__init__.py", False),
    ],
)
def test_a_block_is_covered_with_what_it_imports_and_no_more(package: Path, edited: str, changes: bool) -> None:
    assert changed_by(package, edited, [PACKAGE / "features/user_item.py"]) is changes


def test_a_model_that_reads_a_block_made_of_others_is_covered_with_them() -> None:
    spec = STAGES.model("purchase_propensity")
    model = replace(spec.model, reads=(Reads("features/recursive", ("x",)),))
    files = {file.relative_to(PACKAGE).as_posix() for file in STAGES.code_of(replace(spec, model=model))}
    blocks = ("recursive", "recursive_candidates", "recursive_columns")
    assert files == {"models/purchase_propensity.py", *(f"features/{name}.py" for name in blocks)}


def assets_changed_by(package: Path, edited: str) -> set[str]:
    """The assets whose code version an edit of a file of the package changes; it is undone."""
    groups = {key: [package / file.relative_to(PACKAGE) for file in files] for key, files in STAGES.asset_files.items()}
    before, file = code_digests(groups, package), package / edited
    text = file.read_text()
    file.write_text(text + "# edited\n")
    after = code_digests(groups, package)
    file.write_text(text)
    return {key for key in groups if after[key] != before[key]}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """The imports of the package as import-linter's own library reads them."""
    return grimp.build_graph(PACKAGE.name, exclude_type_checking_imports=True, cache_dir=None)


@pytest.mark.parametrize("edited", ["learning/btyd.py", "learning/boosting.py", "learning/item_lists.py"])
def test_an_edit_in_learning_changes_the_models_that_import_it_and_no_other_asset(
    package: Path, imports: grimp.ImportGraph, edited: str
) -> None:
    module = f"{PACKAGE.name}.{edited.removesuffix('.py').replace('/', '.')}"
    importers = imports.find_downstream_modules(module)
    models = [name for name in STAGES.models if f"{PACKAGE.name}.models.{name}" in importers]
    assert 0 < len(models) < len(STAGES.models)
    expected = {f"{part}/{name}" for name in models for part in ("models", "predictions", "health")}
    assert assets_changed_by(package, edited) == expected


def test_every_models_digest_covers_what_another_program_finds_imported(imports: grimp.ImportGraph) -> None:
    """Of rooms whose packages hand no names on: there a digest is as fine as the imports of modules are."""

    def in_rooms(names: Iterable[str]) -> set[str]:
        rooms = tuple(f"{PACKAGE.name}.{room}." for room in ("learning", "synthesis", "encoders", "features"))
        return {name for name in names if name.startswith(rooms)}

    def module_of(file: str) -> str:
        return f"{PACKAGE.name}.{file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"

    for name, spec in STAGES.models.items():
        files = STAGES.code_of(spec)
        own = {module_of(file.relative_to(PACKAGE).as_posix()) for file in files}
        imported = own.union(*(imports.find_upstream_modules(module) for module in own))
        packages = {module for module in imported if imports.find_children(module)}
        covered = {module_of(file) for file in code_files(*files)}
        assert in_rooms(covered) - packages == in_rooms(imported) - packages, name
        assert covered <= imported | packages | {PACKAGE.name}, name


@pytest.mark.parametrize("edited", ["features/rfm.py", "clean/users.py", "raw/bills.py", "models/churn.py"])
def test_an_edit_of_an_assets_own_file_changes_no_other_asset(package: Path, edited: str) -> None:
    stage, name = edited.removesuffix(".py").split("/")
    parts = ("models", "predictions", "health") if stage == "models" else (stage,)
    assert assets_changed_by(package, edited) == {f"{part}/{name}" for part in parts}


@pytest.mark.parametrize("edited", ["tables/landing_commit.py", "landing/number_formats.py"])
def test_an_edit_of_what_lands_rows_changes_all_raw_tables_and_no_other_asset(package: Path, edited: str) -> None:
    assert assets_changed_by(package, edited) == {key for key in STAGES.tables if key.startswith("raw/")}


def test_every_asset_that_a_file_declares_has_a_code_version() -> None:
    deliveries = {f"delivery/{name}" for name in STAGES.models}
    assert set(STAGES.code_versions) == set(STAGES.edges) | set(STAGES.tables) | deliveries


def test_a_package_in_an_archive_has_the_versions_that_it_has_on_disk(shop: Path, tmp_path: Path) -> None:
    """As a cluster imports a wheel that is staged beside the step."""
    archive = shutil.make_archive(str(tmp_path / "wheel"), "zip", shop.parent)
    packed = Path(archive) / "shop"
    block = {"block": [shop / "block.py"], "sums": [shop / "sums.py"]}
    of_packed = {name: [packed / file.name for file in files] for name, files in block.items()}
    assert code_digests(of_packed, package=packed) == code_digests(block, package=shop)
    assert code_digest(packed / "block.py", package=packed) == code_digest(shop / "block.py", package=shop)
