"""Python and the packages on this side, against what CapFlow asks for."""

from __future__ import annotations

import platform
from importlib import metadata

from capflow_assets.doctor.case import Case, Checks, broken, ok, skipped, warning

PACKAGE = "capflow-assets"
INSTALL = "install again with the constraints file: pip install -c constraints.txt capflow-assets"
TORCH = "install torch: README.md says in its part on setting up which build"


def python(case: Case) -> Checks:
    """Python is one that CapFlow runs on."""
    from packaging.specifiers import SpecifierSet

    try:
        required = metadata.metadata(PACKAGE)["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        yield skipped(f"{PACKAGE} is not installed as a package, so it says nothing of versions")
        return
    words = f"{platform.python_version()}, asked for {required}"
    fits = SpecifierSet(required).contains(platform.python_version())
    yield ok(words) if fits else broken(words, "make the virtual environment with one of those")


def packages(case: Case) -> Checks:
    """Installed packages are those that CapFlow pins."""
    from packaging.requirements import Requirement

    try:
        required = [Requirement(line) for line in metadata.requires(PACKAGE) or []]
    except metadata.PackageNotFoundError:
        yield skipped(f"{PACKAGE} is not installed as a package, so it pins nothing")
        return
    active = [
        requirement
        for requirement in required
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
    problems = []
    for requirement in active:
        version = installed(requirement.name)
        if version is None and requirement.name == "torch":
            # A set-up without a GPU may have left it out.
            problems.append(warning("torch is not installed, so that deep models cannot work here", TORCH))
        elif version is None:
            problems.append(broken(f"{requirement.name} is not installed", INSTALL))
        elif not requirement.specifier.contains(version, prereleases=True):
            problems.append(broken(f"{requirement.name} is {version}, asked for {requirement.specifier}", INSTALL))
    if installed("databricks-connect"):
        problems.append(broken("databricks-connect is installed over pyspark", "pip uninstall databricks-connect"))
    yield from problems or [ok(f"all {len(active)} fit, CapFlow Assets {metadata.version(PACKAGE)}")]


def installed(name: str) -> str | None:
    """The version of a package that is installed here, None where it is not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


CHECKS = (python, packages)
