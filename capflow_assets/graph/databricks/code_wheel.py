"""This package as one wheel, built once per version of the code and named after its contents.

A cluster brings Spark, pandas and Arrow of its own; the wheel asks for the other packages at the versions that run
here, so that installing it never replaces the runtime's Spark.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution, version
from pathlib import Path

from packaging.requirements import Requirement

DISTRIBUTION = "capflow-assets"
ENTRY_POINT = "capflow-remote-step"
ENTRY = f"{ENTRY_POINT} = capflow_assets.graph.databricks.remote_step:main"
# What the runtime has, what would bring a pyspark of its own, and what only the orchestrator needs.
LEFT_OUT = frozenset(
    {
        *("pyspark", "pysail", "pandas", "pyarrow", "grpcio-status", "googleapis-common-protos", "zstandard"),
        *("dagster-pyspark", "dagster-databricks"),
        *("dagster-webserver", "dagster-postgres", "typer", "rich"),
    }
)
# A runtime installs no library from DBFS, so there the first file of a step puts the code onto the path by itself.
FIRST_FILE = b"""import sys

code, *sys.argv[1:] = sys.argv[1:]
sys.path.insert(0, code)
if "sc" in globals():
    sc.addPyFile(code)  # noqa: F821
from capflow_assets.graph.databricks.remote_step import main

main()
"""
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel: its file name, which says the version of the code, and its bytes."""

    name: str
    content: bytes


@cache
def code_wheel() -> Wheel:
    """The wheel of the package as it lies on this machine. The same code gives the same bytes."""
    package = Path(__file__).resolve().parents[2]
    files = {
        f"{package.name}/{file.relative_to(package).as_posix()}": file.read_bytes()
        for file in sorted(package.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    for name in ("dagster.yaml", "workspace.yaml"):  # in a checkout they stand beside the package
        beside = package.parent / name
        if f"{package.name}/{name}" not in files and beside.is_file():
            files[f"{package.name}/{name}"] = beside.read_bytes()
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    local = f"{version(DISTRIBUTION)}+{digest.hexdigest()[:12]}"
    info = f"{DISTRIBUTION.replace('-', '_')}-{local}.dist-info"
    files[f"{info}/METADATA"] = _metadata(local).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: capflow\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{ENTRY}\n".encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    return Wheel(f"{info.removesuffix('.dist-info')}-py3-none-any.whl", _zipped(files))


def requirements() -> list[str]:
    """What a cluster installs beside the wheel: our dependencies, at the versions that run here, that it lacks."""
    declared = [Requirement(text) for text in distribution(DISTRIBUTION).requires or []]
    return [_pinned(requirement) for requirement in declared if _is_asked_of_a_cluster(requirement)]


def _is_asked_of_a_cluster(requirement: Requirement) -> bool:
    """Whether a requirement applies without any of our extras, and a cluster lacks it."""
    holds = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    return holds and requirement.name not in LEFT_OUT


def _pinned(requirement: Requirement) -> str:
    extras = ",".join(sorted(requirement.extras - {"pyspark"}))
    return f"{requirement.name}{f'[{extras}]' if extras else ''}=={version(requirement.name)}"


def _metadata(local: str) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {DISTRIBUTION}", f"Version: {local}"]
    return "\n".join([*lines, *(f"Requires-Dist: {requirement}" for requirement in requirements())]) + "\n"


def _record(files: dict[str, bytes], own: str) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    for name, content in files.items():
        hashed = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={hashed}", len(content)])
    writer.writerow([own, "", ""])
    return stream.getvalue().encode()


def _zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return stream.getvalue()
