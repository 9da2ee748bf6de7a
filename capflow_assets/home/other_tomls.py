"""What the TOMLs of other customers in the home name: read as they lie there, right or wrong.

Does not belong here: what follows from it for a customer (``fences``, ``secret_variables``).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from capflow_assets.customers.customer import PACKAGE, SQLITE
from capflow_assets.customers.table_inputs import declared_origins
from capflow_assets.home.places import Home
from capflow_assets.paths.fence import S3, fixed_part, is_below


def other_tomls(home: Home, customer: str, elder_than: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The TOMLs of other customers by name; of those alone that were here before one, where it is named."""
    files = {file.stem: file for file in home.customers.glob("*.toml")}
    stats = {name: file.stat() for name, file in files.items() if file.exists()}
    age = {name: (stat.st_mtime_ns, name) for name, stat in stats.items()}
    for name in sorted(age):
        is_elder = elder_than is None or elder_than not in age or age[name] < age[elder_than]
        if name != customer and is_elder:
            # One that is replaced keeps its age, so that does not tell whether it has changed.
            declared = _parsed(str(files[name]), stats[name].st_ctime_ns, stats[name].st_ino)
            if declared.get("name") == name:  # else it is a copy that somebody kept, and no customer's
                yield name, declared


@lru_cache(maxsize=10_000)
def _parsed(file: str, _changed: int, _node: int) -> dict[str, Any]:
    """A TOML as it was when written; nothing of one that cannot be read, which is told where that customer is run."""
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}


def sources_of(declared: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts of a TOML that may name a source: tables, and the inputs of their queries."""
    tables = declared.get("tables")
    for table in tables.values() if isinstance(tables, dict) else ():
        yield from declared_origins(table) if isinstance(table, dict) else ()


def locations_of(declared: Mapping[str, Any]) -> Iterator[str]:
    """Where a TOML's files lie: absolute paths, folders or patterns, and ``s3://`` addresses."""
    base = declared.get("base")
    for source in sources_of(declared):
        location = source.get("location")
        if not isinstance(location, str) or location.startswith(PACKAGE):
            continue
        plain = file_path(location.strip())
        if "://" in plain and not plain.startswith(S3):
            continue
        if plain.startswith((S3, "/")):
            yield plain
        elif isinstance(base, str):
            yield f"{base.rstrip('/')}/{plain}"


def folders_of_files(declared: Mapping[str, Any], base: str) -> list[str]:
    """The folder of those of a customer's files that lie where its TOML does; none if that of ``base`` lies there too.

    What else is in it may be that customer's as well: last year's export, or that of tomorrow.
    """
    base_of_toml = declared.get("base")
    if not isinstance(base_of_toml, str) or not base_of_toml.startswith("/"):
        return []
    places = [os.path.normpath(place) for place in locations_of(declared) if place.startswith("/")]
    folders = [_folder_of(place) for place in places if is_below(fixed_part(place), os.path.normpath(base_of_toml))]
    folder = os.path.commonpath(folders) if folders else "/"
    inside = is_below(folder, os.path.normpath(base_of_toml)) and folder != "/"
    return [folder] if inside and not is_below(base, os.path.realpath(folder)) else []


def _folder_of(place: str) -> str:
    """The folder that the files of a path or a pattern lie in; that of a folder is the folder itself."""
    fixed = fixed_part(place)
    return fixed if fixed != place or os.path.isdir(place) else os.path.dirname(place)  # noqa: PTH112, PTH120


def file_path(location: str) -> str:
    """The path of a location, which for SQLite stands in an address."""
    return SQLITE.sub("", location)
