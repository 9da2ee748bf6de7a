"""A listening TCP port of this process that this process alone can connect to.

Sail listens on a TCP port of the loopback and asks nobody who they are: every user of the machine could read the lake
through it, whatever the mode of its folder, and run code in this process. On Linux a filter on the listening socket
drops whoever knocks, as a firewall would, but for one source port at a time: one that this process has just bound, so
that nobody else can come from it. It takes no privilege. What speaks to the server connects to a socket of the kernel's
abstract namespace, where the kernel names the process at the other end, and threads move the bytes on inside the
kernel (``splice``): a result arrives as fast as it did.

Between the server's ``listen`` and the filter lie some tenths of a millisecond. Whoever is connected by then is cut
off, and told of (see ``strangers``).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"
LOOPBACK_BITS = 0x7F000001
# Of <asm-generic/socket.h>; Python does not name it.
SO_ATTACH_FILTER = 26
# The classic BPF's operations that are used here, of <linux/bpf_common.h>.
LOAD_WORD, LOAD_HALF, JUMP_IF_EQUAL, RETURN = 0x20, 0x28, 0x15, 0x06
IP_HEADER = 0xFFF00000  # SKF_NET_OFF: offsets from here are into the IP header, others into the TCP header
SOURCE_ADDRESS = IP_HEADER + 12
SOURCE_PORT = 0
PASS, DROP = 0xFFFFFFFF, 0
PIPE_BYTES = 1 << 20
KNOCK_SECONDS = 0.01
CUTTING_SECONDS = 2.0
ARRIVING_SECONDS = 5.0
# Where this process has no descriptor, thread or memory left for another connection.
BREATH_SECONDS = 0.1
SPENT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
# States of <net/tcp_states.h>: established, asked for, and those on their way to the end.
ESTABLISHED = "01"
CONNECTED = (ESTABLISHED, "03", "04", "05", "06", "07", "08", "09", "0B", "0C")


@dataclass
class PrivatePort:
    """The port of a server in this process, closed to others from the moment that this is made.

    ``strangers`` are the addresses of those who were connected before that; they are cut off.

    Raises:
        OSError: this system knows no such filter, or does not heed it.
    """

    port: int
    strangers: list[str] = field(init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if sys.platform != "linux":
            raise OSError("only Linux filters what reaches a listening socket")
        with _listening_socket(self.port) as listening:
            _let_through(listening, None)
        self.strangers = list(_connections(self.port))
        _cut_off(self.port)
        if _is_open(self.port):
            raise OSError("this system's filter lets others through")

    def connect(self) -> socket.socket:
        """A connection to the server, from a port that is let through for as long as connecting takes."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # One descriptor for opening and closing: closing never fails for lack of one.
            with self._turn, _listening_socket(self.port) as listening:
                connection.bind((LOOPBACK, 0))
                port = connection.getsockname()[1]
                _let_through(listening, port)
                try:
                    connection.connect((LOOPBACK, self.port))
                    self._await_arrival(port)
                finally:
                    _let_through(listening, None)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            connection.close()
            raise
        return connection

    def address(self) -> str:
        """A gRPC address of the server, at which this process alone is served."""
        name = f"capflow-{os.getpid()}-{secrets.token_hex(8)}"
        entrance = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            entrance.bind(f"\0{name}")
            entrance.listen()
        except OSError:
            entrance.close()
            raise
        threading.Thread(target=self._serve, args=(entrance,), name="capflow-engine-entrance", daemon=True).start()
        return f"unix-abstract:{name}"

    def _serve(self, entrance: socket.socket) -> None:
        while True:
            try:
                inside, _ = entrance.accept()
            except OSError:  # too many open files: who waits at the entrance is let in once there is room again
                time.sleep(BREATH_SECONDS)
                continue
            # Who cannot be let in is told by a connection that ends.
            with suppress(OSError, RuntimeError), ExitStack() as ends:
                ends.enter_context(inside)
                if _peer(inside) == os.getpid():
                    outside = ends.enter_context(self.connect())
                    threading.Thread(target=_join, args=(inside, outside), name="capflow-engine", daemon=True).start()
                    ends.pop_all()

    def _await_arrival(self, port: int) -> None:
        """Wait for the server's side of a connection: its last step would be dropped as well, once others are."""
        until, there = time.monotonic() + ARRIVING_SECONDS, f"{LOOPBACK}:{port}"
        while there not in _connections(self.port, of=(ESTABLISHED,)):
            if time.monotonic() > until:
                raise TimeoutError("the engine takes no connection")
            time.sleep(ARRIVING_SECONDS / 10_000)


def _let_through(listening: socket.socket, port: int | None) -> None:
    program = _program(port)
    code = ctypes.create_string_buffer(program, len(program))
    filtering = struct.pack("HL", len(program) // 8, ctypes.addressof(code))
    listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filtering)


def _program(port: int | None) -> bytes:
    """A filter that passes what comes from a port of the loopback's own address; nothing, where none is named."""
    if port is None:
        return _instruction(RETURN, value=DROP)
    return b"".join((
        _instruction(LOAD_WORD, value=SOURCE_ADDRESS),
        _instruction(JUMP_IF_EQUAL, otherwise=3, value=LOOPBACK_BITS),
        _instruction(LOAD_HALF, value=SOURCE_PORT),
        _instruction(JUMP_IF_EQUAL, otherwise=1, value=port),
        _instruction(RETURN, value=PASS),
        _instruction(RETURN, value=DROP),
    ))  # fmt: skip


def _instruction(code: int, *, otherwise: int = 0, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, otherwise, value)


def _listening_socket(port: int) -> socket.socket:
    """The socket of this process that listens on a port."""
    for candidate in _sockets(port):
        if _is_listening(candidate):
            return candidate
        candidate.close()
    raise OSError(f"no socket of this process listens on port {port}")


def _cut_off(port: int) -> None:
    """End all connections to a server of this process, those too that it has yet to accept."""
    until = time.monotonic() + CUTTING_SECONDS
    while any(_connections(port, of=(ESTABLISHED,))) and time.monotonic() < until:
        for end in _sockets(port):
            with end, suppress(OSError):
                if not _is_listening(end):
                    end.shutdown(socket.SHUT_RDWR)
        time.sleep(CUTTING_SECONDS / 1000)


def _is_listening(end: socket.socket) -> bool:
    return bool(end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _sockets(port: int) -> Iterator[socket.socket]:
    """The TCP sockets of this process at a port, each by a descriptor of its own, for the caller to close."""
    # The newest first: the server has just been started.
    for number in sorted((int(file.name) for file in Path("/proc/self/fd").iterdir()), reverse=True):
        # Other threads close descriptors, and open others of the same number, at any moment. Nothing but a socket is
        # ever closed here: to close a file's descriptor would let go of the locks that SQLite holds on that file.
        try:
            other = socket.socket(fileno=number)
        except OSError:  # no socket, or closed by now
            continue
        is_there = _is_at(other, port)
        other.detach()  # it is another's
        if not is_there:
            continue
        try:
            own = socket.socket(fileno=os.dup(number))
        except OSError as error:
            if error.errno in SPENT:
                raise
            continue
        if _is_at(own, port):
            yield own
        else:
            own.close()


def _is_at(end: socket.socket, port: int) -> bool:
    try:
        return end.family == socket.AF_INET and end.type == socket.SOCK_STREAM and end.getsockname()[1] == port
    except OSError:  # closed by now
        return False


def _connections(port: int, of: tuple[str, ...] = CONNECTED) -> Iterator[str]:
    """Who is connected to a port of the loopback, or waits to be."""
    here = f"{socket.htonl(LOOPBACK_BITS):08X}:{port:04X}"
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if local == here and state in of:
            address, _, its_port = remote.partition(":")
            yield f"{socket.inet_ntoa(int(address, 16).to_bytes(4, sys.byteorder))}:{int(its_port, 16)}"


def _is_open(port: int) -> bool:
    """Whether a connection from any port is made: at once, on a loopback, or not at all."""
    with socket.socket() as knock:
        knock.setblocking(False)
        knock.connect_ex((LOOPBACK, port))
        _, answered, _ = select.select([], [knock], [], KNOCK_SECONDS)
        return bool(answered) and not knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _peer(connection: socket.socket) -> int:
    """The process at the other end, as the kernel knows it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def _join(inside: socket.socket, outside: socket.socket) -> None:
    """Bring what comes at either end to the other, until one of them has ended.

    Both pipes are had before the first byte moves: one way alone would leave the caller to wait for ever.
    """
    with inside, outside, suppress(OSError, RuntimeError), _pipe() as there, _pipe() as back:
        returning = threading.Thread(
            target=_move, args=(outside, inside, back), name="capflow-engine-back", daemon=True
        )
        returning.start()
        _move(inside, outside, there)
        returning.join()


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        with suppress(OSError):  # a user's pipes are limited in all: with less room it takes more steps
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def _move(source: socket.socket, sink: socket.socket, pipe: tuple[int, int]) -> None:
    """Bring all bytes from one end to the other without looking at them, and end both when either has ended."""
    reading, writing = pipe
    with suppress(OSError):
        while waiting := os.splice(source.fileno(), writing, PIPE_BYTES):
            while waiting:
                waiting -= os.splice(reading, sink.fileno(), waiting)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
