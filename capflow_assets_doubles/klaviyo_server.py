"""Klaviyo's bulk profile import as its OpenAPI documents have it: limits, jobs that run by themselves, and errors."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from capflow_assets_doubles.http_server import Reply, Request

JOBS = "/api/profile-bulk-import-jobs"
TYPE = "application/vnd.api+json"


@dataclass
class Job:
    """Profiles that are imported after a few questions."""

    profiles: list[dict[str, Any]]
    polls_left: int
    errors: list[dict[str, Any]] = field(default_factory=list)
    status: str = "queued"
    done: int = 0


@dataclass
class KlaviyoServer:
    """Profiles by external id, and jobs by id."""

    key: str = "klaviyo key"
    burst: int = 10
    polls: int = 2
    wrong_users: frozenset[str] = frozenset()
    loses: int = 0
    never_ends: bool = False
    script: list[Reply] = field(default_factory=list)
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    throttled: int = 0
    starts: deque[float] = field(default_factory=deque)

    def __call__(self, request: Request) -> Reply:
        path = request.path.partition("?")[0]
        self.paths.append(f"{request.method} {path}")
        if request.headers.get("authorization") != f"Klaviyo-API-Key {self.key}":
            return self._errors(401, {"code": "not_authenticated", "detail": "Incorrect authentication credentials."})
        if "revision" not in request.headers:
            return self._errors(400, {"code": "invalid", "detail": "A revision is required."})
        if not path.startswith(JOBS):
            return self._errors(404, {"code": "not_found", "detail": "A resource could not be found."})
        if request.method == "GET":
            return self._read(path, request.path.partition("?")[2])
        now = time.time()
        while self.starts and self.starts[0] <= now - 1:
            self.starts.popleft()
        if len(self.starts) >= self.burst:
            self.throttled += 1
            detail = {"code": "throttled", "detail": "Request was throttled."}
            return self._errors(429, detail, headers={"Retry-After": "1"})
        self.starts.append(now)
        reply = self._start(request)
        return self.script.pop(0) if self.script else reply

    def _start(self, request: Request) -> Reply:
        if request.headers["content-type"] != TYPE:
            return self._errors(415, {"code": "unsupported_media_type", "detail": request.headers["content-type"]})
        if len(request.body) > 5_000_000:
            return self._errors(413, {"code": "payload_too_large", "detail": "The request payload is too large."})
        data = json.loads(request.body)["data"]
        profiles = data["attributes"]["profiles"]["data"]
        if data["type"] != "profile-bulk-import-job" or not 1 <= len(profiles) <= 10_000:
            return self._errors(400, {"code": "invalid", "detail": "1 to 10,000 profiles."})
        blank = [
            {
                "code": "invalid",
                "detail": "A profile must have an identifier.",
                "source": {"pointer": f"/data/attributes/profiles/data/{place}/attributes"},
            }
            for place, profile in enumerate(profiles)
            if not profile["attributes"].get("external_id", "").strip()
        ]
        if blank:
            return self._errors(400, *blank)
        self.jobs[f"job=={len(self.jobs)}"] = Job(profiles, self.polls)
        return self._job(f"job=={len(self.jobs) - 1}", 202)

    def _read(self, path: str, query: str) -> Reply:
        _, _, rest = path.removeprefix(f"{JOBS}/").partition("/")
        job_id = path.removeprefix(f"{JOBS}/").partition("/")[0].replace("%3D", "=")
        job = self.jobs[job_id]
        if rest == "import-errors":
            start = int(query.rpartition("cursor%5D=")[2]) if "cursor" in query else 0
            page = job.errors[start : start + 100]
            is_more = start + 100 < len(job.errors)
            more = f"https://a.klaviyo.com{path}?page%5Bcursor%5D={start + 100}" if is_more else None
            return self._said(200, {"data": page, "links": {"self": "x", "next": more}})
        job.polls_left -= 1
        job.status = "processing"
        if job.polls_left <= 0 and not self.never_ends:
            self._run(job)
        return self._job(job_id, 200)

    def _run(self, job: Job) -> None:
        job.status = "complete"
        for profile in job.profiles[: len(job.profiles) - self.loses]:
            user = profile["attributes"]["external_id"]
            if user in self.wrong_users:
                attributes = {"code": "invalid", "title": "Invalid input.", "detail": f"{user} is not valid.",
                              "source": {"pointer": "/data"}, "original_payload": profile}  # fmt: skip
                job.errors.append({"type": "import-error", "id": user, "attributes": attributes})
                continue
            job.done += 1
            properties = self.profiles.setdefault(user, {})
            properties.update(profile["attributes"].get("properties", {}))
            for name in profile.get("meta", {}).get("patch_properties", {}).get("unset", []):
                properties.pop(name, None)

    def _job(self, job_id: str, status: int) -> Reply:
        job = self.jobs[job_id]
        attributes = {"status": job.status, "created_at": "2026-03-01T00:00:00+00:00", "total_count": len(job.profiles),
                      "completed_count": job.done, "failed_count": len(job.errors)}  # fmt: skip
        data = {"type": "profile-bulk-import-job", "id": job_id, "attributes": attributes, "links": {"self": "x"}}
        return self._said(status, {"data": data})

    def _errors(self, status: int, *errors: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
        return self._said(status, {"errors": list(errors)}, headers)

    def _said(self, status: int, said: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
        return Reply(status, json.dumps(said).encode(), {"content-type": TYPE, **(headers or {})})
