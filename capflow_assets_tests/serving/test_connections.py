"""Many connections, and bodies that never end: who asks is answered meanwhile."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from capflow_assets.serving import endpoints
from capflow_assets.serving.app import create_app
from capflow_assets.serving.connections import LEAST, MOST, most_connections
from capflow_assets.serving.tokens import issue
from capflow_assets_tests.serving.homes import listening
from capflow_assets_tests.serving.one_service import MODEL, service

__all__ = ["service"]
# Of many connections one end is in a process of its own: few users may have more than 20,000 files open.
MANY = 10_000
HOLDS = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
held = [socket.create_connection((host, port), timeout=60) for _ in range(count)]
print("held", flush=True)
sys.stdin.read()
"""
FILES = MANY + 1_000


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open files as the test needs; skipped where this user may not have them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (resource.RLIM_INFINITY,) and hard < FILES:
        pytest.skip(f"this user may have {hard:,} files open; {FILES:,} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_idle_connections_of_another_process_do_not_stop_who_asks(service, many_files):
    token = issue(service.deployment.home, "acme")
    with listening(create_app(service.deployment)) as address:
        place = urlsplit(address)
        words = [sys.executable, "-c", HOLDS, str(place.hostname), str(place.port), str(MANY)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            headers = {"authorization": f"Bearer {token}"}
            response = httpx.get(f"{address}/v1/acme/models", headers=headers, timeout=60)
            holder.communicate("")
    assert response.status_code == 200
    assert f"acme.{MODEL}" in response.text


def test_a_body_that_does_not_end_is_a_problem_after_a_while(service, monkeypatch):
    monkeypatch.setattr(endpoints, "BODY_SECONDS", 0.2)
    token = issue(service.deployment.home, "acme")
    with listening(create_app(service.deployment)) as address:
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
            head = f"POST /v1/acme/models/{MODEL}/answers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
            connection.sendall(f"{head}content-length: 100\r\n\r\n{{".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_the_bound_leaves_files_for_the_process_itself():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        bound = most_connections()
        now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert LEAST <= bound <= MOST
        assert now == resource.RLIM_INFINITY or bound < now
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
