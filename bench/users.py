"""BG/NBD of a million users: seconds to fit and to score.

The users are drawn from the model itself, so the fit can be held against the truth.
"""

from __future__ import annotations

import time

USERS = 1_000_000
TRUTH = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}


def run() -> None:
    """Print seconds and parameters for a million simulated users."""
    import numpy as np

    from capflow_assets.learning.btyd import fit_bg_nbd

    x, t_x, T = histories(np.random.default_rng(0), USERS)
    began = time.perf_counter()
    model = fit_bg_nbd(x, t_x, T)
    fitted = time.perf_counter()
    model.p_alive(x, t_x, T)
    model.expected_purchases(x, t_x, T, 13.0)
    scored = time.perf_counter()
    parameters = model.parameters()
    words = ", ".join(f"{name} {parameters[name]:.3f} (true {value})" for name, value in TRUTH.items())
    print(  # noqa: T201
        f"users: BG/NBD of {USERS:,} users: fit {fitted - began:.1f} s, score {scored - fitted:.1f} s; {words}"
    )


def histories(rng, users: int):  # type: ignore[no-untyped-def]
    """``x``, ``t_x``, ``T`` in weeks of users who live by BG/NBD with the parameters of ``TRUTH``."""
    import numpy as np

    T = rng.uniform(26, 78, users)
    rate = rng.gamma(TRUTH["r"], 1 / TRUTH["alpha"], users)
    leaves = rng.beta(TRUTH["a"], TRUTH["b"], users)
    x, t_x, now = np.zeros(users), np.zeros(users), np.zeros(users)
    alive = np.ones(users, bool)
    while alive.any():
        now[alive] += rng.exponential(1 / np.maximum(rate[alive], 1e-12))
        alive &= now <= T
        x[alive] += 1
        t_x[alive] = now[alive]
        alive &= rng.random(users) >= leaves
    return x, np.floor(t_x * 7) / 7, np.floor(T * 7) / 7
