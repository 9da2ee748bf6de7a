"""Servers of other versions and clocks, and those that never answer."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from capflow_assets_doubles.engines import free_port
from capflow_assets_tests.doctor.examinations import examined, only


class Clock(http.server.BaseHTTPRequestHandler):
    """A server in the shape of MLflow whose version and clock a test sets."""

    version, off = "3.17.0", timedelta()

    def date_time_string(self, timestamp=None):
        return super().date_time_string((datetime.now(UTC) + self.off).timestamp())

    def do_GET(self):
        content = self.version.encode() if self.path == "/version" else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[type[Clock]]:
    handler = type("Handler", (Clock,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{listening.server_address[1]}")
        yield handler
        listening.shutdown()


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (-60, "warning"), (60, "warning"), (1000, "broken")])
def test_clocks_that_differ(tmp_path, server, seconds, state):
    server.off = timedelta(seconds=seconds)
    result = only(examined(tmp_path, "clock.skew"))
    assert result.state == state
    assert ("behind" if seconds > 0 else "ahead of" if seconds else "within") in result.found


@pytest.mark.parametrize(
    ("version", "state"), [("3.17.9", "ok"), ("3.16.0", "warning"), ("2.22.0", "broken"), ("hello", "broken")]
)
def test_mlflow_servers_of_other_versions(tmp_path, server, version, state):
    server.version = version
    assert only(examined(tmp_path, "services.mlflow")).state == state


def test_a_server_that_never_answers_costs_seconds(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        assert only(examined(tmp_path, "services.mlflow")).state == "broken"
        assert time.monotonic() - begun < 60, "MLflow's client would ask again for many minutes"


def test_a_spark_that_never_answers_costs_seconds_and_no_thread(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("CAPFLOW_ENGINE", f"sc://127.0.0.1:{silent.getsockname()[1]}/;token=pl4nted")
        before = threading.active_count()
        result = only(examined(tmp_path, "services.engine", check_seconds=4))
        assert (result.state, "within 3.2 s" in result.found, "pl4nted" in result.found) == ("broken", True, False)
        until = time.monotonic() + 60
        while threading.active_count() > before and time.monotonic() < until:
            time.sleep(0.05)
        assert threading.active_count() <= before


@pytest.mark.parametrize("check", ["services.engine", "services.dagster", "services.mlflow"])
def test_a_port_where_nothing_listens(tmp_path, monkeypatch, check):
    port = free_port()
    monkeypatch.setenv("CAPFLOW_ENGINE", f"sc://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("CAPFLOW_POSTGRES_URL", f"postgresql+psycopg2://ann:hunter2@127.0.0.1:{port}/dagster")
    begun = time.monotonic()
    result = only(examined(tmp_path, check))
    assert result.state == "broken"
    assert str(port) in result.found
    assert result.to_do
    assert "hunter2" not in result.found + result.to_do
    assert time.monotonic() - begun < 60
