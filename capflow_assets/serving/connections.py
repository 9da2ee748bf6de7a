"""How many connections a process takes: as many as it may have files open, less those that it needs itself."""

from __future__ import annotations

import resource

# Stores, models, libraries, MLflow's and Dagster's databases.
OWN_FILES = 1_024
MOST, LEAST = 20_000, 256


def most_connections() -> int:
    """The bound on connections, with the soft limit of open files raised as far as this user may.

    Beyond it a connection is answered with 503 at once. Without it one that is accepted when no file is left would be
    an error of the loop, and those that are answered would wait with it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + OWN_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    files = wanted if soft == resource.RLIM_INFINITY else soft
    return max(LEAST, min(MOST, files - OWN_FILES))
