"""Nobody but this process reaches its engine: neither another user of the machine, nor another process of this one."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capflow_assets.doctor import Case, examine
from capflow_assets.errors import CapflowError
from capflow_assets.graph.engine import Engine
from capflow_assets.home import session
from capflow_assets.home.keys import customer_key
from capflow_assets.home.places import Home
from capflow_assets.home.private_port import PrivatePort
from capflow_assets.home.session import embedded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters what reaches a listening socket")

# What speaks HTTP/2 answers these words, gRPC among them.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
# Another process, as another user where one is named, tries every port and every abstract socket that the kernel lists.
INTRUDER = f"""
import os, socket, sys

if int(sys.argv[1]) != os.getuid():
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
ports = set()
for line in open("/proc/net/tcp").readlines()[1:]:
    local, state = (line.split()[place] for place in (1, 3))
    if state == "0A":
        ports.add(("127.0.0.1", int(local.split(":")[1], 16)))
names = {{line.split()[-1] for line in open("/proc/net/unix") if "@capflow-" in line}}
for place in [*sorted(ports), *sorted(names)]:
    is_port = isinstance(place, tuple)
    with socket.socket(socket.AF_INET if is_port else socket.AF_UNIX) as door:
        door.settimeout(0.5)
        try:
            door.connect(place if is_port else chr(0) + place[1:])
            door.sendall({GREETING!r})
            answer = door.recv(9)
        except OSError:
            answer = b""
    print(place[1] if is_port else place, "answers" if answer else "is silent")
"""


@pytest.fixture
def echo() -> Iterator[int]:
    """A server in this process that sends back what it is sent; its port."""
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while not is_over.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:  # it is over, or a test has taken all descriptors
                    time.sleep(0.001)
                    continue
                threading.Thread(target=repeat, args=(connection,), daemon=True).start()

        def repeat(connection: socket.socket) -> None:
            with connection:
                while heard := connection.recv(1 << 16):
                    connection.sendall(heard)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        is_over.set()
        server.shutdown(socket.SHUT_RDWR)


def listening() -> set[str]:
    """The ports that this process listens on."""
    inodes = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # other threads close theirs
            inodes.add(str(file.readlink()))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = [line for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in inodes]
    return {str(int(line[1].split(":")[1], 16)) for line in mine}


def is_cut_off(end: socket.socket) -> bool:
    """True once it has ended; else it takes too long, which fails the test."""
    with end, contextlib.suppress(ConnectionResetError):
        end.settimeout(10)
        while end.recv(1 << 16):  # a server's first words may have been on their way
            pass
    return True


@pytest.mark.parametrize("user", [65534, os.getuid()], ids=["another user", "another process"])
def test_an_intruder_is_answered_on_no_port_and_no_socket_of_the_engine(user: int):
    if user != os.getuid() and os.getuid():
        pytest.skip("only root can become another user")
    assert Engine().spark_session.sql("select 1").collect()
    port = embedded().server.listening_address[1]
    assert str(port) in listening()
    completed = subprocess.run(
        [sys.executable, "-c", INTRUDER, str(user)], capture_output=True, text=True, check=True, timeout=300
    )
    answers = dict(line.split(" ", 1) for line in completed.stdout.splitlines())
    assert answers[str(port)] == "is silent"
    name = "@" + embedded().address.partition(":")[2]
    assert answers[name] == "is silent"
    assert Engine().spark_session.range(1_000_000).toPandas()["id"].sum() == 499_999_500_000


def test_bytes_arrive_as_they_were_sent_over_several_connections_at_once(echo: int):
    name = PrivatePort(echo).address().partition(":")[2]
    sent = [os.urandom(3_000_000) for _ in range(4)]
    heard: dict[int, bytes] = {}

    def talk(place: int) -> None:
        with socket.socket(socket.AF_UNIX) as end:
            end.connect(f"\0{name}")
            threading.Thread(target=end.sendall, args=(sent[place],)).start()
            parts: list[bytes] = []
            while sum(map(len, parts)) < len(sent[place]):
                parts.append(end.recv(1 << 20))
            heard[place] = b"".join(parts)

    talks = [threading.Thread(target=talk, args=(place,)) for place in range(4)]
    for thread in talks:
        thread.start()
    for thread in talks:
        thread.join(60)
    assert [heard[place] for place in range(4)] == sent


def test_a_connection_that_ends_on_one_side_ends_on_the_other(echo: int):
    name = PrivatePort(echo).address().partition(":")[2]
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(10)
        end.connect(f"\0{name}")
        end.sendall(b"good day")
        assert end.recv(100) == b"good day"
        end.shutdown(socket.SHUT_WR)
        assert end.recv(100) == b""


def test_who_came_before_the_port_was_closed_is_cut_off_and_told_of(echo: int):
    with socket.create_connection(("127.0.0.1", echo), timeout=10) as early:
        private = PrivatePort(echo)
        assert private.strangers == [f"127.0.0.1:{early.getsockname()[1]}"]
        assert is_cut_off(early)
    with private.connect() as own:
        own.sendall(b"good day")
        assert own.recv(100) == b"good day"


def test_a_port_that_is_let_through_is_not_another_address_s(echo: int):
    private = PrivatePort(echo)
    with private.connect() as own, socket.socket() as other:
        other.settimeout(0.5)
        other.bind(("127.0.0.2", own.getsockname()[1]))
        with pytest.raises(TimeoutError):
            other.connect(("127.0.0.1", echo))


@pytest.fixture
def churn() -> Iterator[None]:
    """Threads that open and close files and sockets at all moments, as those of an engine do."""
    is_over = threading.Event()

    def open_and_close() -> None:
        while not is_over.is_set():
            with Path(os.devnull).open("rb"), socket.socket(), socket.socket():
                pass

    threads = [threading.Thread(target=open_and_close) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    is_over.set()
    for thread in threads:
        thread.join()


def test_what_other_threads_open_and_close_meanwhile_leaves_the_port_closed_and_its_owner_connected(echo, churn):
    for _ in range(100):
        with PrivatePort(echo).connect() as own:
            own.settimeout(10)
            own.sendall(b"good day")
            assert own.recv(100) == b"good day"
        time.sleep(0.001)


def descriptors_but(room: int) -> list[int]:
    """All descriptors that this process may still have, but for some."""
    taken: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(room):
        os.close(taken.pop())
    return taken


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(listed()) + 40, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def listed() -> list[int]:
    return [int(file.name) for file in Path("/proc/self/fd").iterdir()]


@pytest.mark.parametrize("room", range(9))
def test_who_comes_while_no_file_can_be_opened_is_told_or_served_and_so_is_the_next(echo, few_descriptors, room: int):
    name = PrivatePort(echo).address().partition(":")[2]
    with socket.socket(socket.AF_UNIX) as first:
        first.settimeout(10)
        taken = descriptors_but(room)
        try:
            first.connect(f"\0{name}")
            time.sleep(0.05)
        finally:
            for number in taken:
                os.close(number)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            first.sendall(b"good day")
            assert first.recv(100) in (b"", b"good day")  # else it would wait for ever
    with socket.socket(socket.AF_UNIX) as second:
        second.settimeout(10)
        second.connect(f"\0{name}")
        second.sendall(b"good day")
        assert second.recv(100) == b"good day"


def test_an_engine_for_which_descriptors_are_lacking_is_not_left_open_to_others(few_descriptors, monkeypatch):
    start, taken = session.started_server, []

    def started():
        server, port = start()
        taken.extend(descriptors_but(0))
        return server, port

    monkeypatch.setattr(session, "started_server", started)
    try:
        with pytest.raises(OSError, match="Too many open files"):
            embedded.__wrapped__()
    finally:
        for number in taken:
            os.close(number)


def test_an_engine_that_others_always_reach_first_is_not_used(monkeypatch):
    start, early = session.started_server, []

    def started():
        server, port = start()
        early.append(socket.create_connection(("127.0.0.1", port)))
        return server, port

    monkeypatch.setattr(session, "started_server", started)
    with pytest.raises(CapflowError, match="before its port was closed"):
        embedded.__wrapped__()
    assert [is_cut_off(stranger) for stranger in early] == [True] * session.STARTS


def has_no_filter(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "platform", "elsewhere")
    return "only Linux filters what reaches a listening socket"


def has_no_abstract_sockets(monkeypatch: pytest.MonkeyPatch) -> str:
    def address(self: PrivatePort) -> str:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(PrivatePort, "address", address)
    return "[Errno 1] Operation not permitted"


@pytest.mark.parametrize("lack", [has_no_filter, has_no_abstract_sockets])
def test_where_the_port_cannot_be_closed_the_engine_works_and_says_so(monkeypatch, lack):
    why = lack(monkeypatch)
    engine = embedded.__wrapped__()
    assert engine.exposed == why
    host, _, port = engine.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as end:
        end.sendall(GREETING)
        assert end.recv(9)
    monkeypatch.undo()
    engine.server.stop()


def test_a_new_home_is_its_owner_s_alone_and_one_that_is_there_stays_as_it_is(tmp_path, monkeypatch):
    for name in ("CAPFLOW_HOME", "DAGSTER_HOME"):  # which preparing sets
        monkeypatch.setenv(name, "")
    home = Home.of(tmp_path / "new", {}).prepare()
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    (tmp_path / "shared").mkdir(mode=0o750)
    assert stat.S_IMODE(Home.of(tmp_path / "shared", {}).prepare().root.stat().st_mode) == 0o750


def test_keys_that_others_may_read_are_warned_of(tmp_path):
    home = Home.of(tmp_path, {})
    case = Case(home, lambda: None)
    customer_key(home, "shop")
    tmp_path.chmod(0o700)
    assert {result.state for result in examine(case, pattern="permissions.readers")} == {"ok"}
    (tmp_path / "keys" / "shop").chmod(0o640)
    first, *_ = examine(case, pattern="permissions.readers")
    assert (first.state, first.to_do) == ("warning", f"chmod -R go= {tmp_path / 'keys'}")


def test_the_doctor_says_that_no_other_process_can_connect_to_the_engine(tmp_path):
    (result,) = examine(Case(Home.of(tmp_path, {}), lambda: None), pattern="permissions.engine")
    assert (result.state, result.found) == ("ok", "no other process can connect to it")
