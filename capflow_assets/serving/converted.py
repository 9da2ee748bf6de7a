"""Files for online answers of versions that were registered without one, as earlier releases did: where they lie.

``{home}/serving/{customer}/converted`` has them. The process that publishes writes them (``converting``), a server
reads them, and until one is there the version before it answers, or last night's answers do.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from capflow_assets.errors import BrokenModelError
from capflow_assets.home.places import Home
from capflow_assets.learning.online.files import OnlineModel, unpacked
from capflow_assets.stores.answer_store import FOLDER
from capflow_assets.stores.model_files import MODEL
from capflow_assets.stores.registry import Registry

CONVERTED = "converted"


def converted_folder(home: Home, customer: str) -> Path:
    """Where the files of a customer lie."""
    return home.root / FOLDER / customer / CONVERTED


def converted_path(home: Home, registry: Registry, customer: str, model: str, version: int) -> Path:
    """Where the file of a version is, or will be; a version registered anew under the same number has another."""
    where, own_digest = registry.paths(customer, model, version)[MODEL]
    identity = sha256(f"{where} {own_digest}".encode()).hexdigest()[:16]
    return converted_folder(home, customer) / f"{model}.{version}.{identity}.zip"


def converted(path: Path, most_bytes: int) -> OnlineModel | None:
    """The content of a file; None where it is not there, is damaged, or has more than ``most_bytes``."""
    try:
        return unpacked(path.read_bytes()) if path.stat().st_size <= most_bytes else None
    except (OSError, BrokenModelError):
        return None
