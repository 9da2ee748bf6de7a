"""One HTTP request at a time over a kept connection, and how far it got.

A delivery must know whether a request was sent. ``NotSent``: nothing was, so it may be tried again at any time.
``NoAnswer``: it was, at least in part, and nobody can say what became of it. Redirects are not followed. A name is
looked up when a connection is made, and the connection goes to the address that was checked: a name that means another
address a moment later (DNS rebinding) reaches no private network. Proxies of the environment are not used.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Timer
from typing import Any
from urllib.parse import SplitResult, urlsplit

# More of an answer than this is not read.
MOST_ANSWER_BYTES = 32 << 20
# IPv6 addresses that a gateway turns into the IPv4 address at their end.
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotSent(Exception):  # noqa: N818  (how far a request got)
    """No connection could be made; ``is_final`` where a second try cannot help."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


class NoAnswer(Exception):  # noqa: N818  (how far a request got)
    """The request was sent, and the connection ended or the time was over before an answer came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def url_problem(url: str, *, may_be_private: bool) -> str:
    """What is expected of an address, where it is not as it should be; blank where it is.

    >>> url_problem("http://shop.example.com/hook", may_be_private=False)
    'https://…, or allow_private for a host of your own network'
    >>> url_problem("https://ann:pw@shop.example.com", may_be_private=False)
    'an address without user and password'
    >>> url_problem("https://shop.example.com/hook?of=crm", may_be_private=False)
    ''
    """
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "an address such as https://shop.example.com/hook"
    if parts.scheme not in ("https", "http") or not has_host or any(ord(sign) <= 32 for sign in url):
        return "an address such as https://shop.example.com/hook"
    if "@" in parts.netloc:
        return "an address without user and password"
    if parts.scheme == "http" and not may_be_private:
        return "https://…, or allow_private for a host of your own network"
    return ""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's, also when it is written inside an IPv6 address.

    >>> [is_public(one) for one in ("93.184.216.34", "10.0.0.7", "169.254.169.254", "::ffff:127.0.0.1", "::1")]
    [True, False, False, False, False]
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = None
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return all(one.is_global and not one.is_multicast for one in (ip, *([inner] if inner else ())))


class Endpoint:
    """One host, by its address; a connection is kept from request to request.

    ``timeout_seconds`` bounds the connection, and then the whole of request and answer: a server that drips is cut off.
    """

    def __init__(self, url: str, *, timeout_seconds: float, may_be_private: bool) -> None:
        self._parts: SplitResult = urlsplit(url)
        self._timeout = timeout_seconds
        self._may_be_private = may_be_private
        self._connection: http.client.HTTPConnection | None = None
        query = f"?{self._parts.query}" if self._parts.query else ""
        self.path = (self._parts.path or "/") + query
        self.host = self._parts.netloc

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Send one request and read the answer.

        Raises:
            NotSent: no connection; nothing was sent.
            NoAnswer: it was sent, and no whole answer came in time.
        """
        connection = self._connected()
        try:
            with _cut_off(connection, self._timeout) as is_cut:
                connection.request(method, path, body, dict(headers))
                response = connection.getresponse()
                content = response.read(MOST_ANSWER_BYTES)
            if is_cut.is_set() or (response.length and len(content) < MOST_ANSWER_BYTES):
                raise TimeoutError(f"no whole answer within {self._timeout:g} s, or before the connection ended")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise NoAnswer(str(error) or type(error).__name__) from error
        if response.will_close or not response.isclosed():
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def close(self) -> None:
        """End the connection that is kept."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None or self._connection.sock is None:
            host, is_tls = self._parts.hostname or "", self._parts.scheme == "https"
            port = self._parts.port or (443 if is_tls else 80)
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
            connection.sock = self._socket(host, port, is_tls)
            self._connection = connection
        return self._connection

    def _socket(self, host: str, port: int, is_tls: bool) -> socket.socket:
        why = ""
        for address in self._addresses(host, port):
            try:
                plain = socket.create_connection((address, port), self._timeout)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return ssl.create_default_context().wrap_socket(plain, server_hostname=host) if is_tls else plain
            except ssl.SSLCertVerificationError as error:
                raise NotSent(f"its certificate is not trusted: {error.verify_message}", is_final=True) from error
            except OSError as error:
                why = error.strerror or str(error)
        raise NotSent(why)

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NotSent(f"the name {host} is not known: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in known))
        if not self._may_be_private and not all(is_public(address) for address in addresses):
            raise NotSent(f"{host} is a host of a private network, and allow_private is not set", is_final=True)
        return addresses


@contextmanager
def _cut_off(connection: Any, seconds: float) -> Iterator[Event]:
    """End the connection after so many seconds, whatever it is waiting for; what is yielded says whether it was."""
    is_cut = Event()
    # The connection forgets it as soon as an answer begins that is to be the last.
    kept = connection.sock

    def cut() -> None:
        is_cut.set()
        with suppress(OSError):
            # The method of an encrypted socket would take away what the waiting thread is using.
            socket.socket.shutdown(kept, socket.SHUT_RDWR)

    timer = Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield is_cut
    finally:
        timer.cancel()
