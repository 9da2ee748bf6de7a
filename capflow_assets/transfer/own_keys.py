"""Whose keys open a service of AWS's manner: both of the customer's, or those of the platform and at AWS alone."""

from __future__ import annotations


def require_own_keys(access_key: object | None, secret_key: object | None, endpoint: str | None) -> None:
    """Refuse half a pair of keys, and another address than AWS's without any.

    Raises:
        ValueError: says which keys are expected.
    """
    if (access_key is None) != (secret_key is None):
        raise ValueError("access_key and secret_key, or neither")
    if endpoint and access_key is None:
        raise ValueError("access_key and secret_key beside the endpoint: the platform's own are shown to none")
