"""Make the virtual environment ``.venv`` with the pinned packages: ``python3.11 deploy/environment.py demo dev``.

The words are extras of ``pyproject.toml``. The packages are installed by uv: the machine's own, or the one that
``constraints.txt`` pins, which pip puts into the environment first. Only the standard library is imported here.

- uv does not read pip's configuration, so what pip is configured with (index, wheels, certificate, proxy, …) is passed
  on as uv's variables. A variable of uv's that is set already wins.
- Without an NVIDIA GPU the packages of ``deploy/without_gpu.txt`` replace what others ask for. Where no index has
  torch's build for CPUs, torch is left out, and a sentence says so: the build on PyPI cannot be imported without the
  libraries of a GPU.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CONSTRAINTS = REPOSITORY / "constraints.txt"
WITHOUT_GPU = REPOSITORY / "deploy" / "without_gpu.txt"
# pip's setting, uv's variable, and what separates several values there.
VARIABLES = {
    "index-url": ("UV_DEFAULT_INDEX", ""),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "constraint": ("UV_CONSTRAINT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "timeout": ("UV_HTTP_TIMEOUT", ""),
    "no-index": ("UV_NO_INDEX", ""),
    "cert": ("SSL_CERT_FILE", ""),
    "client-cert": ("SSL_CLIENT_CERT", ""),
    "proxy": ("ALL_PROXY", ""),
}
# Sections of pip's configuration, the stronger last.
SECTIONS = ("global", "install", ":env:")


def pip_settings(listing: str) -> dict[str, list[str]]:
    """What ``pip config list`` prints, by setting; each has one or several values.

    >>> pip_settings(":env:.find-links='/wheels'\\nglobal.find-links='/a /b'\\ninstall.timeout='60'")
    {'find-links': ['/wheels'], 'timeout': ['60']}
    """
    settings: dict[str, dict[str, list[str]]] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, setting = name.rpartition(".")
        if section in SECTIONS:
            settings.setdefault(setting.removeprefix("default-"), {})[section] = str(ast.literal_eval(value)).split()
    return {
        setting: max(values.items(), key=lambda item: SECTIONS.index(item[0]))[1]
        for setting, values in settings.items()
    }


def uv_variables(settings: Mapping[str, list[str]]) -> dict[str, str]:
    """The variables that make uv install from where pip would.

    >>> uv_variables({"find-links": ["/a", "/b"], "user": ["false"]})
    {'UV_FIND_LINKS': '/a,/b'}
    """
    variables = {
        variable: separator.join(settings[setting]) if separator else settings[setting][-1]
        for setting, (variable, separator) in VARIABLES.items()
        if settings.get(setting)
    }
    if "UV_INDEX" in variables:
        # pip compares the versions of all indexes; uv would stop at the first that knows a package's name.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return variables


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU whose driver is loaded."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def make(folder: Path, extras: Iterable[str]) -> None:
    """Make the environment in ``folder``, or bring an existing one up to date.

    Raises:
        CalledProcessError: pip or uv, which have said why.
    """
    uv = shutil.which("uv")
    venv.create(folder, with_pip=uv is None, symlinks=True)
    python = folder / "bin" / "python"
    if uv is None:
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        _tell("Getting uv")
        subprocess.run([*pip, "install", "--quiet", "--constraint", str(CONSTRAINTS), "uv"], check=True)
        uv = str(python.with_name("uv"))
    else:
        pip = [sys.executable, "-m", "pip"]
    listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
    environment = {**uv_variables(pip_settings(listing)), **os.environ}
    install = [uv, "pip", "install", "--python", str(python), "--constraint", str(CONSTRAINTS)]
    with tempfile.TemporaryDirectory() as scratch:
        overrides = [] if has_gpu() else ["--override", str(_overrides(install, environment, Path(scratch)))]
        project = f"{REPOSITORY}[{','.join(extras)}]"
        subprocess.run([*install, *overrides, "--editable", project], env=environment, cwd=REPOSITORY, check=True)


def _overrides(install: list[str], environment: Mapping[str, str], scratch: Path) -> Path:
    """The overrides for a machine without a GPU; where torch's build for CPUs cannot be had, they leave torch out."""
    lines = WITHOUT_GPU.read_text(encoding="utf-8").splitlines()
    torch = [line for line in lines if line.startswith("torch")]
    trial = [*install, "--quiet", "--dry-run", "--no-deps", *torch]
    if subprocess.run(trial, env=environment, capture_output=True, check=False).returncode == 0:
        return WITHOUT_GPU
    _tell("torch is left out, for no index here has its build for CPUs. README.md says how to get it.")
    file = scratch / WITHOUT_GPU.name
    rest = [line for line in lines if line not in torch]
    file.write_text("\n".join([*rest, "torch ; python_version < '0'", ""]), encoding="utf-8")
    return file


def _tell(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        make(REPOSITORY / ".venv", sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
