"""The names that the page answers to, and what is wrong with a request that a foreign page may have sent.

A browser sends the name that the reader typed (``Host``) and, with whatever could change something, the page that asked
(``Origin``). A name that is not ours is DNS rebinding; an origin that is not the very page is a foreign one. What comes
without an origin (GraphQL's clients, curl) is no browser's doing, or a reading that a foreign page cannot look at.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from capflow_assets.errors import CapflowError

HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)(?::([0-9]{1,5}))?")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104
DEFAULT_PORTS = {"http": "80", "https": "443"}
READING, WRITING = ("GET", "HEAD"), ("POST",)
VARIABLE = "CAPFLOW_ALLOWED_HOSTS"
NAMING = f"name it with --allow-host NAME[:PORT] or in {VARIABLE}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not let through: the status, and the words."""

    status: int
    words: str

    @classmethod
    def of(cls, status: int, what: str, expected: str = "", came: str = "", do: str = "") -> Refusal:
        """The refusal in the words that every error has; what came is shown shortened."""
        shown = came if len(came) <= 200 else f"{came[:200]}…"
        return cls(status, str(CapflowError(what, expected=expected, came=shown, do=do)))


@dataclass(frozen=True, slots=True)
class Served:
    """The hosts that the page answers to: ``name:port``, and ``name`` for the port that a browser leaves out."""

    hosts: frozenset[str]

    @classmethod
    def at(cls, address: str, port: int, names: Iterable[str] = ()) -> Served:
        """What a page that listens at an address and port serves, with further names (``NAME`` or ``NAME:PORT``).

        >>> sorted(Served.at("127.0.0.1", 3000).hosts)
        ['127.0.0.1:3000', '[::1]:3000', 'localhost:3000']
        >>> "capflow.example.com" in Served.at("0.0.0.0", 3000, ["capflow.example.com"]).hosts
        True

        Raises:
            CapflowError: a name is no host's name, or the page listens everywhere and no name is given.
        """
        named = [name.strip().lower() for name in names if name.strip()]
        if address in EVERYWHERE and not named:
            raise CapflowError(
                f"A page that listens at all addresses ({address or 'every one'}) must know its names",
                expected="the names that readers type into their browser",
                do=f"{NAMING}. Whoever reaches the page may do everything: it has no log-in of its own",
            )
        local = LOOPBACK if address in EVERYWHERE else (*LOOPBACK, bracketed(address.lower()))
        hosts = {f"{name}:{port}" for name in local} | ({*local} if port == int(DEFAULT_PORTS["http"]) else set())
        for name in named:
            matched = HOST.fullmatch(bracketed(name))
            if matched is None:
                raise CapflowError(
                    "A host that the page shall answer to is no name", expected="NAME or NAME:PORT", came=repr(name)
                )
            hosts |= {bracketed(name)} if matched[2] else {matched[1], f"{matched[1]}:{port}"}
        return cls(frozenset(hosts))

    def foreign(self, headers: Mapping[str, Sequence[str]]) -> Refusal | None:
        """Why a request does not come from a page that is served here, if it does not.

        >>> served = Served.at("127.0.0.1", 3000)
        >>> served.foreign({"host": ["localhost:3000"], "origin": ["http://localhost:3000"]}) is None
        True
        >>> served.foreign({"host": ["localhost:3000"], "origin": ["http://localhost:3001"]}).status
        403
        >>> served.foreign({"host": ["evil.example:3000"]}).status
        421
        """
        host = only(headers.get("host", ()))
        if host is None or host.lower() not in self.hosts:
            return Refusal.of(
                421,
                "This page does not answer to that name",
                expected=f"Host: one of {', '.join(sorted(self.hosts))}",
                came=", ".join(headers.get("host", ())) or "no Host",
                do=f"open it by one of these names; if the other is its name as well, {NAMING}",
            )
        origins = headers.get("origin", ())
        if origins and not is_origin_of(only(origins) or "", host.lower()):
            return Refusal.of(
                403,
                "The request comes from another page",
                expected=f"Origin: http://{host} or none",
                came=", ".join(origins),
                do="open the page itself; a proxy must pass the reader's Host on",
            )
        return None


def only(values: Sequence[str]) -> str | None:
    """The value of a header that may stand once."""
    return values[0] if len(values) == 1 else None


def bracketed(address: str) -> str:
    """An address as it stands in a URL: IPv6 in brackets."""
    try:
        return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    except ValueError:
        return address


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens at an address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"


def is_origin_of(origin: str, host: str) -> bool:
    """Whether an origin is that of a page at a host; behind a proxy its scheme is ``https``.

    >>> is_origin_of("https://capflow.example.com", "capflow.example.com")
    True
    >>> is_origin_of("null", "capflow.example.com")
    False
    """
    scheme, separator, place = origin.lower().partition("://")
    if not separator or scheme not in DEFAULT_PORTS:
        return False
    return whole(place, scheme) == whole(host, scheme)


def whole(host: str, scheme: str) -> str:
    """A host with its port, also where that is the scheme's own."""
    return host if re.search(r":[0-9]+$", host) else f"{host}:{DEFAULT_PORTS[scheme]}"
