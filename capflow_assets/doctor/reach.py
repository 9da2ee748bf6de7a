"""Knocking at the doors of other machines, never for longer than a few seconds."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from capflow_assets.errors import CapflowError

if TYPE_CHECKING:
    import requests

    from capflow_assets.doctor.case import Case


def refusal(host: str, port: int, seconds: float) -> str:
    """Why nobody answers at a port, in a few words; empty where somebody does."""
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except socket.gaierror:
        return f"no machine is called {host}"
    except ConnectionRefusedError:
        return f"nothing listens at {host}:{port}"
    except TimeoutError:
        return f"{host}:{port} does not answer within {seconds:g} s"
    except OSError as error:
        return f"{host}:{port}: {error.strerror or error}"
    return ""


def silence(url: str, case: Case) -> str:
    """Why nobody answers at an address; empty where somebody does, or where a proxy stands between."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return ""
    return refusal(host, parts.port or (443 if parts.scheme == "https" else 80), case.connect_seconds)


def fetched(url: str, case: Case, **options: Any) -> requests.Response:
    """The answer to a GET, whatever its status.

    Raises:
        CapflowError: nobody answers.
    """
    import requests

    try:
        return requests.get(url, timeout=(case.connect_seconds, 2 * case.connect_seconds), **options)
    except requests.RequestException as error:
        why = silence(url, case) or type(error).__name__
        do = "see whether it is up, whether the address is right, and whether the network lets this machine through"
        raise CapflowError(f"No answer: {why}", do=do) from None


def aws(case: Case, service: str) -> Any:
    """A client of an AWS service that gives up within seconds."""
    import boto3
    from botocore.config import Config

    seconds = case.connect_seconds
    config = Config(connect_timeout=seconds, read_timeout=2 * seconds, retries={"total_max_attempts": 1})
    region = case.environment.get("AWS_REGION") or case.environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    return boto3.session.Session(region_name=region).client(service, config=config)


def s3_silence(case: Case) -> str:
    """Why the bucket's server does not answer; empty where it does."""
    return silence(s3_endpoint(case.environment), case)


def s3_endpoint(environment: Mapping[str, str]) -> str:
    """Where the bucket's server is: the one that is set, else that of AWS in the region."""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    declared = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    return declared or f"https://s3.{region}.amazonaws.com"
