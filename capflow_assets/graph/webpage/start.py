"""`capflow ui`: looks at the port, prepares the home, starts the keeper, passes signals on, says how it ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from capflow_assets.alerts.settings import DAGSTER_URL
from capflow_assets.errors import CapflowError
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.graph.webpage import sessions
from capflow_assets.graph.webpage.served import EVERYWHERE, Served, bracketed
from capflow_assets.home.places import EVENTS_TOGETHER, Home, shipped

GRACE_SECONDS = 10
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CODE_SERVER = "capflow_assets.graph.webpage.code_server"
NAMES = {"code": "The code server", "daemon": "Dagster's daemon", "webserver": "Dagster's webserver"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page listens, and the further names that it answers to."""

    host: str
    port: int
    names: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The page's address in a browser of this machine."""
        return f"http://{'127.0.0.1' if self.host in EVERYWHERE else bracketed(self.host)}:{self.port}"


def serve(home: Home, address: Address, ready: Callable[[str], None]) -> int:
    """The page on a home until it is ended; the exit code says by which signal. ``ready`` is called once it answers.

    Raises:
        CapflowError: the port is in use, the address is none of this machine's, it listens everywhere and has no name,
            or one of the page's processes ended by itself.
    """
    Served.at(address.host, address.port, address.names)
    require_free(address.host, address.port)
    # Before the processes start, which would otherwise make the same stores at the same time.
    with dagster_instance(home) as instance:
        instance.get_daemon_heartbeats()
        instance.get_runs_count()
    folder = Path(tempfile.mkdtemp(prefix="capflow-ui-"))
    plan = {
        "services": services(folder, address),
        "url": address.url,
        "grace": GRACE_SECONDS,
        "folder": str(folder),
    }
    with passing_signals() as received, keeper(address.url) as process:
        received.process = process
        send(process, json.dumps(plan))
        if received.number:  # it came before there was anybody to pass it on to
            send(process, "end")
        for line in process.stdout or ():
            news = json.loads(line)
            if "ready" in news:
                ready(news["ready"])
            elif not received.number:
                received.ended = news
        process.wait()
    if received.number:
        return 128 + received.number
    raise death(received.ended)


def require_free(host: str, port: int) -> None:
    """Refuse a port at which something listens, or that cannot be listened at.

    Raises:
        CapflowError: with the port, and what to do.
    """
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, place in addresses:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(place)
    except OSError as error:
        raise CapflowError(
            f"The page cannot listen at {host}, port {port}",
            expected="a port of this machine at which nothing listens",
            came=error.strerror or str(error),
            do="end what listens there (another capflow ui?), or choose another port: capflow ui --port NUMBER",
        ) from None


def services(folder: Path, address: Address) -> dict[str, list[str]]:
    """The commands of the page's processes, in the order of their start."""
    import yaml

    module = yaml.safe_load(shipped("workspace.yaml").read_text(encoding="utf-8"))["load_from"][0]["python_module"]
    code, workspace, empty = folder / "code.sock", folder / "workspace.yaml", folder / "empty"
    # Dagster imports from a code server's working directory first: an empty one, whatever lies in the present one.
    empty.mkdir()
    server = {"socket": str(code), "location_name": module["location_name"], "additional_metadata": module}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
    python = [sys.executable, "-P", "-m"]
    names = [word for name in address.names for word in ("--allow-host", name)]
    listening = ["--host", address.host, "--port", str(address.port), "--workspace", str(workspace)]
    code_server = ["--socket", str(code), "--module-name", module["module_name"], "--working-directory", str(empty)]
    code_server += ["--location-name", module["location_name"], "--use-python-environment-entry-point"]
    return {
        "code": [*python, CODE_SERVER, "code-server", "start", "--log-level", "warning", *code_server],
        "daemon": [*python, "capflow_assets.graph.webpage.daemon", str(workspace)],
        "webserver": [*python, "capflow_assets", "webserver", *names, *listening, "--live-data-poll-rate", "2000"],
    }


@contextmanager
def keeper(url: str) -> Iterator[subprocess.Popen[str]]:
    """The keeper's process, in a session of its own; whatever is left of that session at the end is killed.

    ``url`` is where the page will be, to which alerts lead.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "capflow_assets.graph.webpage.keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment(os.environ, url),
    )
    try:
        yield process
    finally:
        with suppress(OSError, ValueError):
            process.stdin.close()  # type: ignore[union-attr]
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_SECONDS + 5)
        sessions.end(process.pid, 0)
        process.wait()


def environment(given: Mapping[str, str], url: str = "") -> dict[str, str]:
    """The variables of the page's processes: nothing is imported from the working directory, and alerts lead to it."""
    paths = [path for path in given.get("PYTHONPATH", "").split(os.pathsep) if Path(path).is_absolute()]
    safe = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(paths)}
    # As `dagster dev` has it: errors of a stage's code are shown without Dagster's own frames.
    return {DAGSTER_URL: url, **EVENTS_TOGETHER, **given, **safe, "DAGSTER_IS_DEV_CLI": "1"}


@dataclass
class Received:
    """The signal that was received, and the keeper's last message."""

    process: subprocess.Popen[str] | None = None
    number: int = 0
    ended: Mapping[str, Any] | None = None

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Ask the keeper to end all; at the second signal, at once."""
        hurried, self.number = bool(self.number), self.number or number
        if self.process is not None:
            send(self.process, "now" if hurried else "end")
            threading.Thread(target=self.insist, args=(1 if hurried else GRACE_SECONDS + 5,), daemon=True).start()

    def insist(self, seconds: float) -> None:
        """Kill the keeper's session if it has not ended after some seconds."""
        time.sleep(seconds)
        if self.process is not None and self.process.poll() is None:
            sessions.tell({*sessions.members(self.process.pid), self.process.pid}, signal.SIGKILL)


@contextmanager
def passing_signals() -> Iterator[Received]:
    """What came, while signals that end a process end the keeper's first."""
    received = Received()
    # `nohup`, and shells' `&`, ignore some, and mean it.
    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, received.take) for number in heeded}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def send(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to the keeper, which may have ended."""
    with suppress(OSError, ValueError):
        os.write(process.stdin.fileno(), f"{line}\n".encode())  # type: ignore[union-attr]


def death(ended: Mapping[str, Any] | None) -> CapflowError:
    """The error for a page one of whose processes ended by itself."""
    if ended is None:
        return CapflowError(
            "The page's keeper was killed, and the page with it", do="look for what killed it: memory? Start it again"
        )
    lines: Sequence[str] = ended["lines"]
    code = ended["code"]
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return CapflowError(
        f"{NAMES[ended['ended']]} ended by itself, and the page with it",
        came="\n".join([how, *lines]),
        do="mend what its last lines say, and start the page again",
    )
