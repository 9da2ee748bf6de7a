"""Who may touch what in the lake's bucket, as the policy documents that AWS reads.

Every customer has one prefix, so one statement about that prefix keeps an identity (a role of a customer's runs, a
reader of its predictions) inside it. The names are matched with the slash that ends them: the policy of ``shop`` says
nothing about ``shop2``. Belongs here: documents. Does not belong here: calls to AWS; a person or a tool applies them.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from capflow_assets.errors import CapflowError
from capflow_assets.stores.lake_places import CUSTOMER

Access = Literal["read", "read-write"]
Document = dict[str, Any]

# Wildcards and policy variables have a meaning in a policy, so a prefix that holds them would open more than itself.
LAKE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[^*?$]*?))?/*")
KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")
VERSION = "2012-10-17"
READ = ["s3:GetObject"]
WRITE = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
SSE = "s3:x-amz-server-side-encryption"
SSE_KEY = f"{SSE}-aws-kms-key-id"
SSE_OWN = f"{SSE}-customer-algorithm"


def customer_policy(
    lake: str,
    customer: str,
    access: Access = "read-write",
    kms_key: str | None = None,
    compute_logs: str | None = None,
) -> Document:
    """The policy of an identity that sees exactly one customer of the lake.

    It lists and reads below ``{lake}/{customer}/`` (and writes and deletes there, unless ``access`` is ``"read"``),
    uses the key by way of S3 alone, and may not ask for another encryption or come without TLS. Versions of objects
    cannot be deleted with it, so what a versioned bucket keeps outlives a mistake. What its steps print may be sent to
    ``compute_logs`` (the place of ``CAPFLOW_COMPUTE_LOGS``) and not be read there, since everybody's is; so an S3 that
    keeps a record notes a refused HEAD of its log for each minute of a step, which Dagster takes for "not whole yet".

    >>> policy = customer_policy("s3://lake/brands", "shop", access="read")
    >>> [statement["Sid"] for statement in policy["Statement"]]
    ['List', 'Objects', 'Region', 'OnlyTls']
    >>> policy["Statement"][1]["Resource"], policy["Statement"][0]["Condition"]
    ('arn:aws:s3:::lake/brands/shop/*', {'StringLike': {'s3:prefix': 'brands/shop/*'}})

    Raises:
        CapflowError: the lake is no bucket, the customer's name is none, or the key is not given by its ARN.
    """
    bucket, prefix = bucket_of(lake)
    if not CUSTOMER.fullmatch(customer):
        raise CapflowError("That is no customer name", expected=CUSTOMER.pattern, came=repr(customer))
    own = f"{prefix}/{customer}/*".lstrip("/")
    statements = [
        {**_allow("List", ["s3:ListBucket"], bucket), "Condition": {"StringLike": {"s3:prefix": own}}},
        _allow("Objects", READ + (WRITE if access == "read-write" else []), f"{bucket}/{own}"),
        _allow("Region", ["s3:GetBucketLocation"], bucket),
    ]
    if compute_logs:
        logs, place = bucket_of(compute_logs)
        statements.append(_allow("Logs", ["s3:PutObject"], f"{logs}/{place}/*".replace("//", "/")))
    if kms_key:
        statements.append(_key_use(kms_key, access))
        statements += [{**denial, "Resource": f"{bucket}/{own}"} for denial in _denials(kms_key)]
    return {"Version": VERSION, "Statement": [*statements, _only_tls(["*"])]}


def bucket_policy(lake: str, kms_key: str | None = None) -> Document:
    """The policy of the bucket itself, whoever comes: TLS only, and no encryption but the lake's.

    A write that names no encryption gets the bucket's own, see `bucket_encryption`; one that names another is refused,
    and so is one that brings a key of its own, with which only its sender could read the object again.

    >>> [statement["Sid"] for statement in bucket_policy("s3://lake/brands")["Statement"]]
    ['OnlyTls', 'NoKeyOfOnesOwn']

    Raises:
        CapflowError: the lake is no bucket, or the key is not given by its ARN.
    """
    bucket, _ = bucket_of(lake)
    objects = f"{bucket}/*"
    denials = [{**denial, "Resource": objects} for denial in (_own_key(), *(_denials(kms_key) if kms_key else ()))]
    statements = [_only_tls([bucket, objects]), *denials]
    return {"Version": VERSION, "Statement": [{**statement, "Principal": "*"} for statement in statements]}


def bucket_encryption(kms_key: str | None = None) -> Document:
    """What the bucket encrypts with when a write names nothing: the key, or Amazon S3's own keys without one.

    >>> bucket_encryption()["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    {'SSEAlgorithm': 'AES256'}

    Raises:
        CapflowError: the key is not given by its ARN.
    """
    chosen = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": _arn(kms_key)} if kms_key else {"SSEAlgorithm": "AES256"}
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": chosen, "BucketKeyEnabled": bool(kms_key)}]}


def bucket_of(lake: str) -> tuple[str, str]:
    """A lake's bucket as an ARN, and its prefix without slashes at the ends.

    >>> bucket_of("s3://lake/brands/")
    ('arn:aws:s3:::lake', 'brands')

    Raises:
        CapflowError: it is a folder, or its prefix holds what a policy would read as a pattern.
    """
    match = LAKE.fullmatch(lake)
    if match is None and lake.startswith("s3://"):
        raise CapflowError(
            "That bucket or prefix has no policies",
            expected="s3://bucket/prefix: a bucket of 3 to 63 of a-z 0-9 . -, a prefix without * ? $",
            came=lake,
        )
    if match is None:
        do = "policies are for a lake in a bucket: set CAPFLOW_LAKE"
        raise CapflowError("That lake has no policies", expected="s3://bucket/prefix", came=lake, do=do)
    return f"arn:aws:s3:::{match['bucket']}", (match["prefix"] or "").strip("/")


def _allow(sid: str, actions: list[str], resource: str) -> Document:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


def _only_tls(resources: list[str]) -> Document:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    return {"Sid": "OnlyTls", "Effect": "Deny", "Action": "s3:*", "Resource": resources, "Condition": condition}


def _own_key() -> Document:
    return _refused("NoKeyOfOnesOwn", {"Null": {SSE_OWN: "false"}})


def _denials(kms_key: str) -> list[Document]:
    # A negated condition holds for a header that is not there, so each says first that it is.
    return [
        _refused("OnlyKms", {"Null": {SSE: "false"}, "StringNotEquals": {SSE: "aws:kms"}}),
        _refused("OnlyThisKey", {"Null": {SSE_KEY: "false"}, "StringNotEquals": {SSE_KEY: _arn(kms_key)}}),
    ]


def _refused(sid: str, condition: Document) -> Document:
    return {"Sid": sid, "Effect": "Deny", "Action": "s3:PutObject", "Condition": condition}


def _key_use(kms_key: str, access: Access) -> Document:
    # Decrypt is needed to write, too: the parts of a large upload are put together from what was encrypted before.
    actions = ["kms:Decrypt"] + (["kms:GenerateDataKey"] if access == "read-write" else [])
    through = {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}
    return {**_allow("Key", actions, _arn(kms_key)), "Condition": through}


def _arn(kms_key: str) -> str:
    if not KEY.fullmatch(kms_key):
        raise CapflowError("That is no key", expected="arn:aws:kms:REGION:ACCOUNT:key/ID", came=repr(kms_key))
    return kms_key
