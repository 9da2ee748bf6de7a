"""Braze's ``/users/track`` as its documentation has it: its limits, its windows, and what it says of wrong objects."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from capflow_assets_doubles.http_server import Reply, Request

IDENTIFIERS = ("external_id", "braze_id", "user_alias", "email", "phone")
MOST_OBJECTS = 75


@dataclass
class BrazeServer:
    """Profiles by external id; ``script`` goes before what it would answer, with or without taking the request."""

    profiles: dict[str, dict[str, Any]]
    key: str = "braze key"
    requests_per_second: int = 1_000
    wrong_users: frozenset[str] = frozenset()
    keeps: bool = True
    names_errors: bool = True
    script: list[Reply] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    throttled: int = 0
    window: tuple[int, int] = (0, 0)

    def __call__(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return self._reply(401, {"message": "Invalid API key"})
        if (request.method, request.path) != ("POST", "/users/track"):
            return self._reply(404, {"message": "Invalid URL"})
        second = int(time.time())
        self.window = (second, self.window[1] + 1 if self.window[0] == second else 1)
        headers = {
            "X-RateLimit-Limit": str(self.requests_per_second),
            "X-RateLimit-Remaining": str(max(0, self.requests_per_second - self.window[1])),
            "X-RateLimit-Reset": str(second + 1),
        }
        if self.window[1] > self.requests_per_second:
            self.throttled += 1
            return self._reply(429, {"message": "You have exceeded the rate limit"}, headers)
        if self.script and self.script[0].status >= 500:
            return self.script.pop(0)
        reply = self._track(request, headers)
        return self.script.pop(0) if self.script else reply

    def _track(self, request: Request, headers: dict[str, str]) -> Reply:
        if len(request.body) > 4_000_000:
            return self._reply(413, {"message": "Request entity too large"}, headers)
        said = json.loads(request.body)
        objects = said.get("attributes", [])
        self.sizes.append(len(objects))
        if sum(len(said.get(kind, [])) for kind in ("attributes", "events", "purchases")) > MOST_OBJECTS:
            return self._reply(400, {"message": "More than 75 objects"}, headers)
        errors = [self._error(place, why) for place, entry in enumerate(objects) if (why := self._wrong(entry))]
        if len(errors) == len(objects):
            message = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
            return self._reply(400, {"message": message, "errors": errors}, headers)
        taken = [entry for entry in objects if not self._wrong(entry)] if self.keeps else []
        for entry in taken:
            self._set(entry)
        answer = {"message": "success", "attributes_processed": len(taken)}
        return self._reply(201, answer | ({"errors": errors} if errors else {}), headers)

    def _wrong(self, entry: dict[str, Any]) -> str:
        if not any(name in entry for name in IDENTIFIERS):
            return "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required"
        return "provided external_id is blacklisted and disallowed" if entry["external_id"] in self.wrong_users else ""

    def _error(self, place: int, why: str) -> dict[str, Any]:
        return {"type": why, "input_array": "attributes", "index": place} if self.names_errors else {"type": why}

    def _set(self, entry: dict[str, Any]) -> None:
        user, is_update = entry["external_id"], entry.get("_update_existing_only", False)
        if is_update and user not in self.profiles:
            return
        profile = self.profiles.setdefault(user, {})
        for name, value in entry.items():
            if name in ("external_id", "_update_existing_only"):
                continue
            if value is None:
                profile.pop(name, None)
            else:
                profile[name] = value

    def _reply(self, status: int, said: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
        return Reply(status, json.dumps(said).encode(), {"content-type": "application/json", **(headers or {})})
