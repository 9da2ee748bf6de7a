"""What was done of a table that is published, in words: what a version was taken from, or how it went wrong."""

from __future__ import annotations

# What was done of a table begins so where it went wrong.
FAILED = "failed: "


def has_failed(outcome: str) -> bool:
    """Whether what was done of a table says that it went wrong.

    >>> has_failed("failed: the disk is full"), has_failed("version 7")
    (True, False)
    """
    return outcome.startswith(FAILED)
