"""The script that makes the virtual environment: what it hands from pip on to uv, and which torch it installs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from capflow_assets_tests.deploy.files import DEPLOY, REPOSITORY

sys.path.insert(0, str(DEPLOY))
import environment

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WITHOUT_GPU = [
    Requirement(line)
    for line in (DEPLOY / "without_gpu.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


# As `pip config list` prints a company's pip.conf and two variables.
LISTING = r"""
:env:.default-timeout='180'
:env:.index-url='https://variable.example.com/simple'
global.cert='/etc/company.pem'
global.extra-index-url='https://one.example.com/simple\nhttps://two.example.com/simple'
global.index-url='https://file.example.com/simple'
global.trusted-host='packages.example.com'
install.index-url='https://install.example.com/simple'
"""


def test_uv_installs_from_where_pip_would():
    assert environment.uv_variables(environment.pip_settings(LISTING)) == {
        "UV_DEFAULT_INDEX": "https://variable.example.com/simple",
        "UV_INDEX": "https://one.example.com/simple https://two.example.com/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "packages.example.com",
        "UV_HTTP_TIMEOUT": "180",
        "SSL_CERT_FILE": "/etc/company.pem",
    }


def test_a_real_pip_lists_its_settings_in_that_form():
    pytest.importorskip("pip")
    # os.devnull keeps the machine's own files out.
    variables = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "/a /b", "PIP_INDEX_URL": "https://x.example.com/"}
    others = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env=others | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert environment.uv_variables(environment.pip_settings(done.stdout)) == {
        "UV_DEFAULT_INDEX": "https://x.example.com/",
        "UV_FIND_LINKS": "/a,/b",
    }


def test_without_a_gpu_no_library_of_a_gpu_is_installed():
    linux = {"sys_platform": "linux", "python_version": "3.11"}
    chosen = [
        requirement for requirement in WITHOUT_GPU if requirement.marker is None or requirement.marker.evaluate(linux)
    ]
    assert [str(requirement.specifier) for requirement in chosen if requirement.name == "torch"] == ["==2.13.0+cpu"]
    assert not any(requirement.name.startswith("nvidia") for requirement in chosen)
    assert any(requirement.name == "nvidia-nccl-cu12" for requirement in WITHOUT_GPU)


def test_torch_has_one_version_in_all_files():
    (declared,) = [Requirement(line) for line in PROJECT["dependencies"] if line.startswith("torch")]
    overridden = {
        str(requirement.specifier).partition("+")[0] for requirement in WITHOUT_GPU if requirement.name == "torch"
    }
    pinned = re.findall(r"^torch(==\S+)$", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.M)
    assert overridden == {str(declared.specifier)} == set(pinned)


@pytest.mark.parametrize("name", ["uv", "setuptools"])
def test_what_installs_the_packages_is_pinned_too(name):
    assert re.search(rf"^{name}==\S+$", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.M)
