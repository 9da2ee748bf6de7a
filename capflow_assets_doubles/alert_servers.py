"""A mail server and a web server, small and real, which keep what they received for inspection."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Mails:
    """A mail server's port, and the mails that it took: from, to, and the mail itself."""

    port: int = 0
    taken: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    refuses: tuple[str, ...] = ()


class MailHandler(socketserver.StreamRequestHandler):
    """Enough of SMTP for one client at a time; the server's ``mails`` say whom it refuses."""

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())

    def handle(self) -> None:
        self.sender, self.to = "", []
        self.say("220 small.example ESMTP")
        while (line := self.rfile.readline().decode().strip()) and line.upper() != "QUIT":
            self.answer(line)
        self.say("221 bye")

    def answer(self, line: str) -> None:
        command, address = line.upper(), line.partition(":")[2].split(">")[0].strip("< ")
        if command.startswith("MAIL FROM:"):
            self.sender, self.to = address, []
        elif command.startswith("RCPT TO:"):
            if address in self.server.mails.refuses:
                return self.say("550 nobody here")
            self.to.append(address)
        elif command == "DATA":
            self.say("354 go on")
            self.take()
        return self.say("250 ok")

    def take(self) -> None:
        content = b""
        while (line := self.rfile.readline()) != b".\r\n":
            content += line.removeprefix(b".") if line.startswith(b"..") else line
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.server.mails.taken.append((self.sender, self.to, mail))


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    mails: Mails


@contextmanager
def mail_server(refuses: tuple[str, ...] = ()) -> Iterator[Mails]:
    with MailServer(("127.0.0.1", 0), MailHandler) as server:
        server.mails = Mails(server.server_address[1], refuses=refuses)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.mails
        server.shutdown()


@dataclass
class Posts:
    """A web server's address, and the bodies that it took; ``status`` is what it answers."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200


@contextmanager
def web_server() -> Iterator[Posts]:
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(posts.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        posts.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield posts
        server.shutdown()
