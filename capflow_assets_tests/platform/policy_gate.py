"""An S3 that keeps its policies: a door before moto's, which evaluates no condition (one on a statement denies it).

Every request is judged by the policies that its identity has in moto and by the bucket's (kept in ``buckets``, since
moto would refuse everything for its conditions), as AWS documents: an explicit deny wins, then an allow is needed.
Keys are taken at their word; signatures are not checked. A missing object is one (404) only to who may list with its
key as the prefix, else it is refused (403): so AWS documents it for whole buckets, and so users measured it for
prefixes (kopia pull request 3072).
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
WRITES = {"PUT": "s3:PutObject", "POST": "s3:PutObject", "DELETE": "s3:DeleteObject"}
BUCKET_ACTIONS = {"location": "s3:GetBucketLocation", "versioning": "s3:GetBucketVersioning"}
SSE = tuple(f"x-amz-server-side-encryption{end}" for end in ("", "-aws-kms-key-id", "-customer-algorithm"))
# moto's account, whose root may do everything that no bucket policy denies.
ROOT = "root"


@dataclass(frozen=True)
class Access:
    """One thing that a request wants to do, with what conditions may look at."""

    action: str
    resource: str
    context: Mapping[str, str]


@dataclass
class Gate:
    """A WSGI application that lets through what the policies allow."""

    inner: Callable[..., Iterable[bytes]]
    secure: bool = False
    closed: bool = False
    buckets: dict[str, Any] = field(default_factory=dict)
    refused: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        credential = re.search(r"Credential=([^/]+)/[^/]+/[^/]+/(\w+)/", environ.get("HTTP_AUTHORIZATION", ""))
        if not self.closed or credential is None or credential.group(2) != "s3":
            return self.inner(environ, start_response)
        identity, policies = identity_of(credential.group(1))
        wanted = accesses_of(environ, self.secure)
        refused = [access for access in wanted if not self.allows(identity, policies, access)]
        if refused:
            self.refused += [
                (identity, access.action, access.resource + str(dict(access.context))) for access in refused
            ]
            return _denied(start_response)
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") and wanted[0].action == "s3:GetObject":
            return self._read(environ, start_response, identity, policies, wanted[0])
        return self.inner(environ, start_response)

    def allows(self, identity: str, policies: list[Any], access: Access) -> bool:
        """Whether the identity's policies and the bucket's allow it."""
        if identity == ROOT:
            policies = [{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}]
        bucket = access.resource.removeprefix("arn:aws:s3:::").split("/")[0]
        return judge([*policies, *([self.buckets[bucket]] if bucket in self.buckets else [])], access)

    def _read(
        self,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
        identity: str,
        policies: list[Any],
        access: Access,
    ) -> Iterable[bytes]:
        answer: list[Any] = []

        def keep(status: str, headers: Any, info: Any = None) -> Callable[[bytes], object]:
            answer[:] = [status, headers]
            return lambda data: None

        body = self.inner(environ, keep)
        arn, _, key = access.resource.partition("/")
        bucket = Access("s3:ListBucket", arn, {**access.context, "s3:prefix": key})
        if answer[0].startswith("404") and not self.allows(identity, policies, bucket):
            self.refused.append((identity, "missing", access.resource))
            return _denied(start_response)
        start_response(*answer)
        return body


def _denied(start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(DENIED)))])
    return [DENIED]


def judge(documents: list[Any], access: Access) -> bool:
    """AWS's rule: one matching deny refuses; else one matching allow is needed."""
    matching = [s for document in documents for s in document["Statement"] if matches(s, access)]
    effects = {statement["Effect"] for statement in matching}
    return "Allow" in effects and "Deny" not in effects


def matches(statement: Mapping[str, Any], access: Access) -> bool:
    """Whether a statement speaks about this request."""
    return (
        any(like(pattern.lower(), access.action.lower()) for pattern in listed(statement["Action"]))
        and any(like(pattern, access.resource) for pattern in listed(statement["Resource"]))
        and all(holds(operator, keys, access.context) for operator, keys in statement.get("Condition", {}).items())
    )


def holds(operator: str, keys: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """One operator over all its keys: all must hold. A missing key fails, unless the operator is negated (``Not``)."""
    tests: dict[str, Callable[[str, str], bool]] = {
        "StringEquals": lambda pattern, value: pattern == value,
        "StringLike": like,
        "Bool": lambda pattern, value: pattern.lower() == value.lower(),
        "Null": lambda pattern, value: False,
    }
    negated = "Not" in operator
    test = tests[operator.replace("Not", "")]
    for key, patterns in keys.items():
        value = context.get(key)
        if operator == "Null":
            if (value is None) is not (listed(patterns) == ["true"]):
                return False
        elif value is None:
            if not negated:
                return False
        elif any(test(pattern, value) for pattern in listed(patterns)) is negated:
            return False
    return True


def like(pattern: str, value: str) -> bool:
    """AWS's wildcards: ``*`` and ``?``; a bracket is a bracket."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def accesses_of(environ: Mapping[str, Any], secure: bool) -> list[Access]:
    """The actions behind one S3 request in path style."""
    query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"], keep_blank_values=True).items()}
    bucket, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
    arn, method = f"arn:aws:s3:::{bucket}", environ["REQUEST_METHOD"]
    context = {"aws:SecureTransport": str(secure).lower()}
    if not bucket:
        return [Access("s3:ListAllMyBuckets", "*", context)]
    if not key:
        return _of_bucket(environ, arn, method, query, context)
    context |= {f"s3:{name}": _header(environ, name) for name in SSE if _header(environ, name)}
    wanted = [Access(WRITES.get(method, "s3:GetObject"), f"{arn}/{key}", context)]
    if method == "DELETE" and "uploadId" in query:
        wanted = [Access("s3:AbortMultipartUpload", f"{arn}/{key}", context)]
    copied = _header(environ, "x-amz-copy-source")
    return wanted + ([Access("s3:GetObject", f"arn:aws:s3:::{unquote(copied).lstrip('/')}", context)] if copied else [])


def _of_bucket(
    environ: Mapping[str, Any], arn: str, method: str, query: Mapping[str, str], context: dict[str, str]
) -> list[Access]:
    if method == "POST" and "delete" in query:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        _again(environ, body)
        keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
        return [Access("s3:DeleteObject", f"{arn}/{key}", context) for key in keys]
    if method in ("GET", "HEAD"):
        named = next((action for name, action in BUCKET_ACTIONS.items() if name in query), "s3:ListBucket")
        prefix = {"s3:prefix": query["prefix"]} if "prefix" in query else {}
        return [Access(named, arn, context | prefix)]
    return [Access("s3:PutBucket*", arn, context)]


def _again(environ: Any, body: bytes) -> None:
    """Let the inner application read the body once more."""
    import io

    environ["wsgi.input"] = io.BytesIO(body)


def _header(environ: Mapping[str, Any], name: str) -> str:
    return str(environ.get("HTTP_" + name.upper().replace("-", "_"), ""))


def identity_of(key: str) -> tuple[str, list[Any]]:
    """Whose access key it is, and the policies of that user; the account's root for a key of nobody."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.iam.models import iam_backends

    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for user in backend.users.values():
        if key in [access.access_key_id for access in user.access_keys]:
            return user.name, [json.loads(document) for document in user.policies.values()]
    return ROOT, []
