"""Print what a ``pyproject.toml`` requires, one requirement a line, without building or installing the project.

``python requirements.py pyproject.toml k8s,encoder`` prints the dependencies and those of both
extras. An extra that the file does not declare ends it with an error.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: str, extras: list[str]) -> list[str]:
    """The requirements of the project and of ``extras``, in the file's order."""
    project = tomllib.loads(pyproject)["project"]
    optional = project.get("optional-dependencies", {})
    unknown = sorted(set(extras) - set(optional))
    if unknown:
        sys.exit(f"no extra {', '.join(unknown)}; there are {', '.join(optional)}")
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    _, file, names = sys.argv
    chosen = [name for name in names.split(",") if name]
    sys.stdout.write("\n".join(requirements(Path(file).read_text(encoding="utf-8"), chosen)) + "\n")
