"""Requests, answers and errors as Databricks words them, and the table of what is answered where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Principal:
    """Who calls: a user or a service principal, and the places that it may touch.

    ``places`` are beginnings of paths as the workspace writes them: ``/Volumes/main/ops/staging``, ``dbfs:/staging``.
    """

    name: str
    token: str
    admin: bool = False
    places: tuple[str, ...] = ("/Volumes/", "dbfs:/")

    def may(self, place: str) -> bool:
        return any(place == prefix.rstrip("/") or place.startswith(prefix.rstrip("/") + "/") for prefix in self.places)


@dataclass(frozen=True)
class Request:
    """One call of a known principal."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    principal: Principal

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON body, or what the query says where there is none."""
        if not self.body:
            return dict(self.query)
        try:
            return dict(json.loads(self.body))
        except ValueError:
            raise ApiError(400, "MALFORMED_REQUEST", "Could not parse request object") from None

    def need(self, name: str) -> Any:
        """A field that the call cannot do without."""
        fields = self.fields
        if fields.get(name) in (None, ""):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Missing required field: {name}")
        return fields[name]


@dataclass(frozen=True)
class Response:
    """An answer that is not JSON."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """An error as the REST API gives it."""

    def __init__(self, status: int, code: str | int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def response(self) -> Response:
        body = json.dumps({"error_code": self.code, "message": self.message}).encode()
        return Response(self.status, body, JSON | {key.replace("_", "-"): value for key, value in self.headers.items()})


Handler = Callable[..., "dict[str, Any] | Response"]


class Routes:
    """Finds the function that answers a call. A pattern's named groups become its arguments, decoded."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        self._routes.append((method, re.compile(pattern), handler))

    def answer(self, request: Request) -> Response:
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if method == request.method and match:
                given = handler(request, **{key: unquote(value) for key, value in match.groupdict().items()})
                return given if isinstance(given, Response) else Response(200, json.dumps(given).encode(), JSON)
        words = f"No API found for '{request.method} {request.path.removeprefix('/api/')}'"
        raise ApiError(404, "ENDPOINT_NOT_FOUND", words)


def split(target: str) -> tuple[str, dict[str, str]]:
    """The path, still encoded, and the query of a request line."""
    parts = urlsplit(target)
    return parts.path, {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
