"""A proxy before a real server, which ends the connection as soon as the server has answered what it waits for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cutting_proxy(port: int, after: bytes) -> Iterator[int]:
    """The port of a proxy to ``port``: a request with ``after`` in it arrives there, and its answer goes nowhere."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=_forward, args=(client, port, after), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _forward(client: socket.socket, port: int, after: bytes) -> None:
    """Both ways at once: who sends a stream is not answered before its end."""
    is_cut = threading.Event()
    with client, socket.create_connection(("127.0.0.1", port)) as server, suppress(OSError):
        back = threading.Thread(target=_back, args=(server, client, is_cut), daemon=True)
        back.start()
        while request := client.recv(1 << 20):
            if after in request:
                is_cut.set()
            server.sendall(request)
        server.shutdown(socket.SHUT_WR)
        back.join(5)


def _back(server: socket.socket, client: socket.socket, is_cut: threading.Event) -> None:
    with suppress(OSError):
        while (answer := server.recv(1 << 20)) and not is_cut.is_set():
            client.sendall(answer)
        client.shutdown(socket.SHUT_RDWR)
