"""Starts the processes of the page in a session of its own, passes on what they print, and ends all of them.

It ends them when one of them ends, and when its input is closed: by `capflow ui`, or by the system when that was
killed. In turn `capflow ui` ends the session when the keeper was killed. Only the standard library is imported, so that
it is there before the others and small beside them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from capflow_assets.graph.webpage import sessions

LAST_LINES = 20
# It passes calls on to the process that holds the code and the runs, and takes ten seconds and more to end by itself.
STATELESS = "code"


@dataclass
class Service:
    """A process of the page, and the last lines that it printed."""

    name: str
    process: subprocess.Popen[str]
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    reader: threading.Thread | None = None

    @classmethod
    def start(cls, name: str, command: list[str]) -> Service:
        """The service, whose output goes to this process's error output."""
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        service = cls(name, process)
        service.reader = threading.Thread(target=service.relay, daemon=True)
        service.reader.start()
        return service

    def relay(self) -> None:
        """Pass its lines on, as they come, until it ends."""
        for line in self.process.stdout or ():
            self.lines.append(line.rstrip("\n"))
            with suppress(OSError):  # nobody may be looking any more
                sys.stderr.write(line)
                sys.stderr.flush()


class Wish:
    """Whether whoever started this wishes it to go on: no longer once the input is closed, and a word hurries it."""

    def __init__(self) -> None:
        self.over, self.hurried = threading.Event(), threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        """Read the input to its end."""
        for line in sys.stdin:
            self.over.set()
            if "now" in line:
                self.hurried.set()
        self.over.set()


def main() -> None:
    """Keep the services that the first line of the input names, until it is closed or one of them ends."""
    plan = json.loads(sys.stdin.readline() or "{}")
    if not plan:
        return
    wish = Wish()
    services: list[Service] = []
    try:
        services += [Service.start(name, command) for name, command in plan["services"].items()]
        ended = keep(services, wish, plan["url"])
        if ended is not None:
            if ended.reader:
                ended.reader.join(timeout=1)
            tell({"ended": ended.name, "code": ended.process.returncode, "lines": list(ended.lines)})
    finally:
        for service in services:
            if service.name == STATELESS:
                service.process.kill()
        sessions.end(sessions.own(), plan["grace"], wish.hurried.is_set)
        shutil.rmtree(Path(plan["folder"]), ignore_errors=True)


def keep(services: list[Service], wish: Wish, url: str) -> Service | None:
    """The service that ended by itself, or nothing once all are to end; tells when the page answers."""
    threading.Thread(target=tell_ready, args=(url, wish), daemon=True).start()
    while not wish.over.wait(0.2):
        for service in services:
            if service.process.poll() is not None:
                return service
    return None


def tell_ready(url: str, wish: Wish) -> None:
    """Tell once the page answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while not wish.over.is_set():
        with suppress(urllib.error.URLError, OSError), opener.open(f"{url}/server_info", timeout=5):
            tell({"ready": url})
            return
        time.sleep(0.1)


def tell(news: dict[str, object]) -> None:
    """Send a line to whoever started this."""
    with suppress(OSError):
        sys.stdout.write(json.dumps(news) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
