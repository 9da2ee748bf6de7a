"""What libraries in native code read from the environment, once, when they are loaded."""

from __future__ import annotations

import os

SETTINGS = {
    "RUST_LOG": "error",
    # Python that runs inside the engine (scikit-learn on 90,000 texts) overflows the 2 MB that its threads have.
    "RUST_MIN_STACK": str(16 << 20),
    # The engine closes a session that was asked nothing for a quarter of an hour, and a training may take longer.
    "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(30 * 24 * 3600),
    # Threads that wait for each other sleep. By default they spin, and where other processes want the same cores a
    # training then takes ten times as long (100 trees on 60,000 rows: 18 s against 1.6 s).
    "OMP_WAIT_POLICY": "PASSIVE",
    # The same for linear algebra: OpenBLAS spins for 2^26 cycles by default before a thread sleeps, 2^4 are its least
    # (150 small decompositions on two busy cores: 37 s of processor time against 4 s).
    "OPENBLAS_THREAD_TIMEOUT": "4",
}


def settle() -> None:
    """Set what nobody has set, for this process and its children."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
