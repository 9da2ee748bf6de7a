"""`capflow ui` as a process: how it starts, what it refuses, and that whatever ends it ends all that it started."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capflow_assets.graph.webpage.start import passing_signals
from capflow_assets_doubles.engines import free_port
from capflow_assets_doubles.homes import TestHome
from capflow_assets_doubles.page_server import Page, environment, page
from capflow_assets_tests.reliability import record

PLANTED = ("dagster", "dagster_webserver", "capflow_assets", "logging", "yaml", "json", "uvicorn", "signal")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of modules that leave a mark beside them when imported."""
    folder = tmp_path_factory.mktemp("planted")
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'imported')!r}, 'a').write({name!r})\n")
    return folder


@pytest.fixture
def starting(tmp_path: Path, planted: Path) -> Iterator[Page]:
    """A page all of whose processes have been started; it need not answer yet."""
    with page(tmp_path / "home", cwd=planted) as started:
        started.process_of("capflow_assets webserver")
        yield started


def test_it_starts_beside_planted_modules_and_a_second_one_takes_over(tmp_path, planted):
    home = tmp_path / "home"
    with page(home, cwd=planted) as first:
        first.wait_until_ready()
        for part in ("code-server", "api grpc", "webpage.daemon", "webserver", "keeper"):
            assert first.process_of(part)
        with page(home, cwd=planted) as second:
            second.wait_until_ready()
            log = second.server.log
            second.server.wait(lambda: "is this home's daemon already" in log.read_text(), 120)
            assert "dagster.daemon - " not in log.read_text()
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(timeout=120) == 128 + signal.SIGTERM
            # The heartbeat of the daemon that ended is not in the way of the one that waited.
            second.server.wait(lambda: "Instance is configured with the following daemons" in log.read_text(), 120)
            second.process.kill()
            second.server.wait(lambda: not second.processes(), 120)
    assert not (planted / "imported").exists()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])  # the others elsewhere in this file
def test_whatever_ends_it_ends_all_that_it_started(starting, number):
    starting.process.send_signal(number)
    code = starting.process.wait(timeout=120)
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    starting.server.wait(lambda: not starting.processes(), 120)


def test_what_nohup_keeps_off_is_not_heeded():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with passing_signals() as received:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not received.number
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_service_that_will_not_end_is_killed_at_the_second_signal(starting):
    os.kill(starting.process_of("capflow_assets webserver"), signal.SIGSTOP)
    starting.process.send_signal(signal.SIGINT)
    starting.process.send_signal(signal.SIGTERM)
    assert starting.process.wait(timeout=120) == 128 + signal.SIGINT
    starting.server.wait(lambda: not starting.processes(), 120)


def test_the_keeper_killed_ends_the_page(starting):
    os.kill(starting.process_of("webpage.keeper"), signal.SIGKILL)
    assert starting.process.wait(timeout=120) == 1
    assert "keeper was killed" in starting.server.log.read_text()
    starting.server.wait(lambda: not starting.processes(), 120)


def test_a_process_that_ends_by_itself_ends_the_page_and_is_named(starting):
    os.kill(starting.process_of("code-server"), signal.SIGKILL)
    assert starting.process.wait(timeout=120) == 1
    said = starting.server.log.read_text()
    assert "The code server ended by itself" in said
    assert "SIGKILL" in said
    starting.server.wait(lambda: not starting.processes(), 120)


@pytest.mark.long
def test_it_is_killed_at_many_moments(tmp_path, planted):
    """Nothing of it stays, and the next one starts."""
    chance = random.Random(7)
    for number in range(25):
        with page(tmp_path / "home", cwd=planted) as started:
            time.sleep(chance.uniform(0, 12))
            started.process.send_signal(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            started.process.wait(timeout=120)
            started.server.wait(lambda started=started: not started.processes(), 120)
        assert not started.processes(), number
    with page(tmp_path / "home") as last:
        last.wait_until_ready()
    record("kills of the page", kills=25, left_processes=0)


def test_a_used_port_is_refused_at_once_and_nothing_is_started(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = TestHome(tmp_path / "home").capflow("ui", "--port", str(port))
    assert said.code == 1
    assert f"port {port}" in said.err
    assert "--port" in said.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_everywhere_without_a_name_is_refused(tmp_path, host):
    said = TestHome(tmp_path / "home").capflow("ui", "--host", host, "--port", str(free_port()))
    assert said.code == 1
    assert "--allow-host" in said.err
    assert "no log-in" in said.err


def test_an_address_of_another_machine_is_refused(tmp_path):
    said = TestHome(tmp_path / "home").capflow("ui", "--host", "192.0.2.1", "--port", str(free_port()))
    assert said.code == 1
    assert "192.0.2.1" in said.err


def test_the_package_as_a_program_imports_nothing_from_where_it_is_called(planted, tmp_path):
    """Once it runs: that it is found at all is the interpreter's own search, which `-P` or `capflow` avoid."""
    for name in ("capflow_assets", "logging", "json", "signal"):
        (planted / f"{name}.py").rename(planted / f"{name}.away")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "capflow_assets", "status", "--home", str(tmp_path / "home")],
            cwd=planted,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for file in planted.glob("*.away"):
            file.rename(file.with_suffix(".py"))
    assert done.returncode == 0, done.stderr
    assert not (planted / "imported").exists()
