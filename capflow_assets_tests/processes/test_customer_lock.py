"""One writer for each customer, between real processes: by the kernel's locks, and by PostgreSQL's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.errors import CapflowError, InUseError
from capflow_assets.home.places import Home
from capflow_assets.processes.customer_lock import INHERITED, WAIT_MINUTES, customer_lock, default_wait, forget_name
from capflow_assets.processes.postgres_locks import key
from capflow_assets.processes.process_locks import lock_store
from capflow_assets_doubles.page_server import environment
from capflow_assets_tests.platform.services import postgres, with_driver

HOLD = """
import sys
from capflow_assets.processes.customer_lock import customer_lock
from capflow_assets.home.places import Home

with customer_lock(Home.of(sys.argv[1]), sys.argv[2], "a test", 0):
    print("held", flush=True)
    sys.stdin.read()
"""
END = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'capflow locks'"
FORK = """
import os, sys
from capflow_assets.processes.customer_lock import customer_lock
from capflow_assets.home.places import Home

home = Home.of(sys.argv[1])
with customer_lock(home, sys.argv[2], "a supervisor", 0):
    child = os.fork()
    if not child:
        with customer_lock(home, sys.argv[2], "its child", 20):
            print(os.getpid(), flush=True)
            sys.stdin.read()
        os._exit(0)
    os.waitpid(child, 0)
"""
SPAWN = f"""
import subprocess, sys
from capflow_assets.processes.customer_lock import customer_lock
from capflow_assets.home.places import Home

with customer_lock(Home.of(sys.argv[1]), sys.argv[2], "a supervisor", 0):
    child = subprocess.run([sys.executable, "-c", {HOLD!r}, *sys.argv[1:]])
"""

BESIDE = HOLD.replace('"a test", 0', '"a test", 0, beside_others=True')
TWO = f"""
import subprocess, sys
from capflow_assets.processes.customer_lock import customer_lock
from capflow_assets.home.places import Home

def child():
    command = [sys.executable, "-c", {BESIDE!r}, *sys.argv[1:]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()

with customer_lock(Home.of(sys.argv[1]), sys.argv[2], "a supervisor", 0):
    children = [child(), child()]
    print(*(f"{{process.pid}}:{{said}}" for process, said in children), flush=True)
    for process, _ in children:
        process.wait()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres(["locks"]) as databases:
        yield with_driver(databases["locks"])


@pytest.fixture(params=["files", "postgres"])
def home(request, tmp_path, monkeypatch) -> Home:
    monkeypatch.delenv(INHERITED, raising=False)
    monkeypatch.delenv("CAPFLOW_POSTGRES_URL", raising=False)
    if request.param == "postgres":
        monkeypatch.setenv("CAPFLOW_POSTGRES_URL", request.getfixturevalue("server"))
        store = lock_store(Home.of(tmp_path, {}))
        for name in store.names(""):  # of the tests before
            store.remove(name)
    return Home.of(tmp_path / "home", {})


@pytest.fixture
def start(home):
    """Start a program on the home that says something once it holds a customer, a stranger to this process."""
    begun: list[subprocess.Popen[str]] = []

    def start(program: str, customer: str) -> tuple[subprocess.Popen[str], str]:
        url = os.environ.get("CAPFLOW_POSTGRES_URL")
        variables = {"CAPFLOW_POSTGRES_URL": url} if url else {}
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(home.root), customer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in environment(**variables).items() if name != INHERITED},
        )
        begun.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in begun:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def test_who_waits_is_told_whom_for_and_goes_on_when_the_holder_is_killed(home, start):
    process, said = start(HOLD, "acme")
    assert said == "held"
    with pytest.raises(InUseError, match=f"acme is in use[\\s\\S]*a test, process {process.pid} on ") as refused:
        customer_lock(home, "acme", "another", 0).__enter__()
    assert "since 20" in str(refused.value)
    heard: list[str] = []

    def hear(words: str) -> None:
        heard.append(words)
        process.send_signal(signal.SIGKILL)

    with customer_lock(home, "acme", "another", None, hear) as holding:
        assert holding.is_after_death
    assert [words.split(":")[0] for words in heard] == ["waiting for acme, which is in use"]


def test_a_holder_that_has_not_said_who_it_is_is_reported_only_if_it_stays_so(home):
    lock = lock_store(home).take("customer-acme")
    assert lock is not None
    heard: list[str] = []
    with pytest.raises(InUseError, match="has not said who it is"):
        customer_lock(home, "acme", "another", 0.1, heard.append).__enter__()
    assert heard == []

    def hear(words: str) -> None:
        heard.append(words)
        lock.release()

    with customer_lock(home, "acme", "another", None, hear):
        pass
    assert heard == ["waiting for acme, which is in use: a process that has not said who it is"]


def test_an_orderly_end_leaves_nothing_to_clear_up(home, start):
    process, _ = start(HOLD, "acme")
    process.communicate("")
    with customer_lock(home, "acme", "another", 0) as holding:
        assert not holding.is_after_death


def test_what_a_killed_holder_left_stays_known_until_somebody_cleared_it_up(home, start):
    process, _ = start(HOLD, "acme")
    process.kill()
    process.wait()
    for _ in range(2):
        with customer_lock(home, "acme", "another", 20) as holding:
            assert holding.is_after_death
    with customer_lock(home, "acme", "another", 0) as holding:
        holding.is_after_death = False
    with customer_lock(home, "acme", "another", 0) as holding:
        assert not holding.is_after_death


def test_two_customers_never_wait_for_each_other(home, start):
    start(HOLD, "acme")
    with customer_lock(home, "acme-2", "another", 0), customer_lock(home, "acm", "another", 0):
        pass


def test_a_process_takes_its_own_lock_again_and_gives_it_back_once(home, start):
    with customer_lock(home, "acme", "outer", 0):
        with customer_lock(home, "acme", "inner", 0):
            pass
        assert start(HOLD, "acme")[1] == ""
    assert start(HOLD, "acme")[1] == "held"


@pytest.mark.parametrize("program", [FORK, SPAWN], ids=["fork", "spawn"])
def test_a_child_writes_under_its_parents_lock_and_outlives_the_parent_with_it(home, start, program):
    parent, said = start(program, "acme")
    assert said, "the child waited for its own parent"
    parent.send_signal(signal.SIGKILL)
    os.waitpid(parent.pid, 0)
    with pytest.raises(InUseError, match=r"a supervisor|a test"):
        customer_lock(home, "acme", "another", 1).__enter__()
    assert parent.stdin is not None
    parent.stdin.close()  # the child ends
    with customer_lock(home, "acme", "another", 20):
        pass


def test_a_child_that_was_killed_at_work_is_known_to_the_next_holder(home, start):
    home.customers.mkdir(parents=True)
    (home.customers / "acme.toml").touch()  # of a customer who is gone nothing is kept
    parent, _ = start(SPAWN, "acme")
    os.kill(lock_store(home).holder("writer-acme").pid, signal.SIGKILL)
    assert parent.wait() == 0
    for _ in range(2):
        with customer_lock(home, "acme", "another", 20) as holding:
            assert holding.is_after_death
    with customer_lock(home, "acme", "another", 0) as holding:
        holding.is_after_death = False
    with customer_lock(home, "acme", "another", 0) as holding:
        assert not holding.is_after_death


def test_children_that_write_beside_each_other_are_all_outlasted(home, start):
    home.customers.mkdir(parents=True)
    (home.customers / "acme.toml").touch()
    parent, said = start(TWO, "acme")
    (first, _), (second, _) = pairs = [pair.split(":") for pair in said.split()]
    assert [words for _, words in pairs] == ["held", "held"]
    parent.kill()
    os.waitpid(parent.pid, 0)
    for pid in (first, second):
        with pytest.raises(InUseError, match=f"a test, process {pid} on "):
            customer_lock(home, "acme", "another", 1).__enter__()
        os.kill(int(pid), signal.SIGKILL)
    with customer_lock(home, "acme", "another", 20) as holding:
        assert holding.is_after_death
        holding.is_after_death = False
    with customer_lock(home, "acme", "another", 0) as holding:
        assert not holding.is_after_death


def test_a_death_beside_others_is_left_to_the_next_holder(home, start):
    home.customers.mkdir(parents=True)
    (home.customers / "acme.toml").touch()
    parent, said = start(TWO, "acme")
    os.kill(int(said.split()[1].split(":")[0]), signal.SIGKILL)
    parent.communicate("")
    with customer_lock(home, "acme", "another", 20) as holding:
        assert holding.is_after_death


def test_a_child_of_a_holder_that_is_gone_is_a_stranger_to_the_next(home, start, monkeypatch):
    start(HOLD, "acme")
    monkeypatch.setenv(INHERITED, '{"acme": ["of an earlier holder"]}')
    with pytest.raises(InUseError):
        customer_lock(home, "acme", "another", 0).__enter__()


def test_a_lent_lock_is_no_longer_reported_afterwards(home):
    with customer_lock(home, "acme", "outer", 0):
        assert INHERITED in os.environ
    assert INHERITED not in os.environ
    with customer_lock(home, "acme", "outer", 0, is_lent=False):
        assert INHERITED not in os.environ


def test_nothing_of_a_customer_that_is_gone_is_left(home):
    with customer_lock(home, "acme", "capflow retire", 0):
        forget_name(home, "acme")
    assert lock_store(home).holder("customer-acme") is None
    assert not list(Path(home.root).rglob("*acme*"))
    with customer_lock(home, "acme", "another", 0):
        pass


def test_a_lock_whose_session_was_ended_is_taken_back_or_known_to_be_lost(server, tmp_path, monkeypatch, start):
    monkeypatch.setenv("CAPFLOW_POSTGRES_URL", server)
    home = Home.of(tmp_path / "home", {})
    with customer_lock(home, "acme", "a run", 0) as holding:
        connection = _connected(server)
        with connection.cursor() as cursor:
            cursor.execute(END)
        connection.close()
        holding.require()
        assert start(HOLD, "acme")[1] == ""
    with customer_lock(home, "acme", "a run", 0) as holding:
        connection = _connected(server)  # which takes the lock as soon as the session that holds it has ended
        with connection.cursor() as cursor:
            cursor.execute(f"{END}; select pg_advisory_lock({key('customer-acme')})")
        with pytest.raises(InUseError, match="was lost"):
            holding.require()
        connection.close()


def _connected(server: str) -> Any:
    import psycopg2

    return psycopg2.connect(server.replace("+psycopg2", ""))


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_wait_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv(WAIT_MINUTES, text)
    with pytest.raises(CapflowError, match=WAIT_MINUTES):
        default_wait()
