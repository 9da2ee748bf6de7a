"""The lake, tried for real: list, write, read, delete, commit a Delta table; and how its bucket is kept."""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from capflow_assets.doctor.case import Case, Checks, Diagnosis, broken, existing, first_line, ok, skipped, warning
from capflow_assets.doctor.reach import aws, s3_silence
from capflow_assets.stores.table_damage import remedy

CONTENT = b"capflow doctor"
SHARE_OF_TIME = 0.8
UNREACHED = "the store does not answer: see lake.reachable"
REASONS = {
    "InvalidAccessKeyId": "mend AWS_ACCESS_KEY_ID, or the role that this machine takes",
    "InvalidClientTokenId": "mend AWS_ACCESS_KEY_ID, or the role that this machine takes",
    "SignatureDoesNotMatch": "mend AWS_SECRET_ACCESS_KEY; look at clock.skew and AWS_REGION as well",
    "RequestTimeTooSkewed": "set this machine's clock (NTP)",
    "ExpiredToken": "get new credentials: the session's token is too old",
    "InvalidToken": "get new credentials: AWS_SESSION_TOKEN fits no key",
    "NoSuchBucket": "create the bucket, or mend CAPFLOW_LAKE",
    "AccessDenied": "allow s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject below the lake, and its KMS key",
    "PermanentRedirect": "set AWS_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the bucket's region",
}


def identity(case: Case) -> Checks:
    """Who calls the bucket."""
    from botocore.exceptions import BotoCoreError, ClientError

    if not case.in_bucket or s3_silence(case):
        yield skipped(UNREACHED if case.in_bucket else "the lake is a folder")
        return
    try:
        yield ok(aws(case, "sts").get_caller_identity()["Arn"])
    except ClientError as error:
        if error.response["Error"].get("Code") in ("InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken"):
            yield _refused(error, "the caller's identity")
        else:
            yield skipped(f"not told: {error.response['Error'].get('Code')}")
    except BotoCoreError as error:
        if type(error).__name__ == "NoCredentialsError":
            yield broken(
                "no credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role"
            )
        else:
            yield skipped(f"not told: {first_line(error)}")


def reachable(case: Case) -> Checks:
    """List, write, read back and delete in the lake."""
    if case.in_bucket:
        yield from _bucket_probe(case)
        return
    folder = existing(Path(case.probed))
    do = f"give this user a folder to write to at {case.home.lake}, or choose another: CAPFLOW_LAKE"
    try:
        with _probe_folder(folder) as probe:
            file = probe / "probe"
            file.write_bytes(CONTENT)
            same = file.read_bytes() == CONTENT
    except OSError as error:
        yield broken(f"{folder}: {error.strerror or first_line(error)}", do)
        return
    note = "" if folder == Path(case.probed) else f"; {case.probed} is made by the first table"
    yield ok(f"{folder}: written, read back, deleted{note}") if same else broken(f"{folder} gives other bytes back", do)


def delta(case: Case) -> Checks:
    """A Delta table is committed there and read back."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake
    from deltalake.exceptions import DeltaError

    if case.in_bucket and s3_silence(case):
        yield skipped(UNREACHED)
        return
    try:
        with _probe(case) as place:
            write_deltalake(place, pa.table({"probe": [1]}), storage_options=_patience(case))
            rows = DeltaTable(place, storage_options=_patience(case)).to_pyarrow_table().num_rows
    except (DeltaError, OSError) as error:
        do = "lake.reachable says more"
        if case.in_bucket:
            do = "lake.reachable and configuration.s3 say more; another S3 than AWS's must know If-None-Match on PUT"
        yield broken(_innermost(str(error)), do)
    else:
        yield ok("committed and read back") if rows == 1 else broken(f"{rows} rows came back of 1", "mend the store")


def bucket(case: Case) -> Checks:
    """The bucket's region, versioning and encryption."""
    from botocore.exceptions import ClientError

    if not case.in_bucket or s3_silence(case):
        yield skipped(UNREACHED if case.in_bucket else "the lake is a folder")
        return
    client, name = aws(case, "s3"), urlsplit(case.home.lake).netloc
    try:
        region = client.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        if region and region != client.meta.region_name:
            yield broken(f"the bucket is in {region}, calls go to {client.meta.region_name}", f"AWS_REGION={region}")
    except ClientError as error:
        yield _refused(error, name)
        return
    yield _versioning(client, name)
    yield _encryption(client, name)


def tables(case: Case) -> Checks:
    """Every table's log can be read, and the files that it names are there."""
    if case.in_bucket and s3_silence(case):
        yield skipped(UNREACHED)
        return
    lake, until, count = case.deployment.lake, time.monotonic() + SHARE_OF_TIME * case.check_seconds, 0
    damaged: list[Diagnosis] = []
    for customer in case.customers:
        for table in lake.tables(customer):
            if time.monotonic() > until:
                yield from damaged
                yield warning(f"{count} tables were looked at in time", "look at one customer: capflow doctor CUSTOMER")
                return
            count += 1
            broken_part = lake.damage(customer, table) or _never_committed(case, customer, table)
            if broken_part:
                do = remedy(customer, table, lake.path(customer, table))
                damaged.append(broken(f"{table} of {customer} is damaged: {broken_part}", do))
    yield from damaged or [ok(f"{count} tables: logs can be read, and their files are there")]


def _never_committed(case: Case, customer: str, table: str) -> str:
    return "" if case.deployment.lake.exists(customer, table) else "its log is empty"


def _versioning(client: Any, name: str) -> Diagnosis:
    from botocore.exceptions import ClientError

    try:
        state = client.get_bucket_versioning(Bucket=name).get("Status", "off")
    except ClientError as error:
        return skipped(f"versioning is not told: {error.response['Error'].get('Code')}")
    do = "turn it on, with a rule that lets old versions go: it brings back what a mistake deleted"
    return ok("versioning is on") if state == "Enabled" else warning(f"versioning is {state.lower()}", do)


def _encryption(client: Any, name: str) -> Diagnosis:
    from botocore.exceptions import ClientError

    try:
        rules = client.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        if code != "ServerSideEncryptionConfigurationNotFoundError":
            return skipped(f"encryption is not told: {code}")
        return warning("no encryption by default", "set the bucket's default encryption, best with a key of your own")
    kinds = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules]
    return ok(f"encrypted by default: {', '.join(kinds)}")


def _bucket_probe(case: Case) -> Checks:
    from botocore.exceptions import BotoCoreError, ClientError

    silence = s3_silence(case)
    if silence:
        yield broken(silence, "mend AWS_ENDPOINT_URL or AWS_REGION, or let this machine through (VPC endpoint, proxy)")
        return
    client = aws(case, "s3")
    name, prefix = _address(case.probed)
    key = f"{prefix}{_probe_name()}"
    step = "list"
    try:
        client.list_objects_v2(Bucket=name, Prefix=prefix, MaxKeys=1)
        step = "write"
        client.put_object(Bucket=name, Key=key, Body=CONTENT)
        step = "read"
        same = client.get_object(Bucket=name, Key=key)["Body"].read() == CONTENT
        step = "delete"
        client.delete_object(Bucket=name, Key=key)
    except ClientError as error:
        yield _refused(error, f"{case.probed}: {step}")
    except BotoCoreError as error:
        yield broken(first_line(error), "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role")
    else:
        words = f"{case.probed}: listed, written, read back, deleted"
        yield ok(words) if same else broken(f"{case.probed} gives other bytes back", "mend the store")


def _refused(error: Any, what: str) -> Diagnosis:
    code = error.response["Error"].get("Code", "")
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    by_status = {"403": "AccessDenied", "404": "NoSuchBucket", "301": "PermanentRedirect"}.get(status, "")
    do = REASONS.get(code) or REASONS.get(by_status) or "look the code up in the store's documentation"
    return broken(f"{what}: {code or status}: {first_line(error)}", do)


def _innermost(text: str) -> str:
    """What lies at the bottom of Delta's story: the store's own code and message, else the last line.

    >>> _innermost("Kernel error -> S3\\n \x1b[31m↳\x1b[0m tcp\\n  \x1b[31m↳\x1b[0m Connection refused\\n")
    'Connection refused'
    >>> _innermost("x\\n <Error><Code>NoSuchBucket</Code><Message>It is not there</Message></Error>")
    'NoSuchBucket: It is not there'
    """
    code, message = (re.search(f"<{tag}>(.*?)</{tag}>", text) for tag in ("Code", "Message"))
    if code:
        return f"{code[1]}: {message[1] if message else ''}"
    lines = [re.sub(r"\x1b\[\d+m|↳", "", line).strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"


def _patience(case: Case) -> dict[str, str] | None:
    """For Delta on a bucket: give up within seconds."""
    if not case.in_bucket:
        return None
    seconds = f"{2 * case.connect_seconds:g}s"
    return {"timeout": seconds, "connect_timeout": seconds, "max_retries": "0"}


def _probe_name() -> str:
    """No customer and no stage is called so: their names begin with a letter or a digit."""
    return f"_doctor-{uuid.uuid4().hex[:12]}"


def _address(place: str) -> tuple[str, str]:
    """A bucket and the prefix in it, with its slash."""
    parts = urlsplit(place)
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


@contextmanager
def _probe_folder(folder: Path) -> Iterator[Path]:
    probe = folder / _probe_name()
    probe.mkdir()
    try:
        yield probe
    finally:
        shutil.rmtree(probe, ignore_errors=True)


@contextmanager
def _probe(case: Case) -> Iterator[str]:
    """A place in the lake, emptied afterwards."""
    if not case.in_bucket:
        with _probe_folder(existing(Path(case.probed))) as folder:
            yield str(folder)
        return
    place = f"{case.probed}/{_probe_name()}"
    try:
        yield place
    finally:
        _emptied(case, place)


def _emptied(case: Case, place: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    client = aws(case, "s3")
    name, prefix = _address(place)
    # Why something cannot be deleted is reported by lake.reachable.
    with suppress(BotoCoreError, ClientError):
        for entry in client.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", []):
            client.delete_object(Bucket=name, Key=entry["Key"])


CHECKS = (identity, reachable, delta, bucket, tables)
