"""Whether the rows to be scored look like those that a model was trained on: their fill, and their distribution.

**Fill**: the share of rows with a value, in points. **Distribution**: the Jensen-Shannon divergence of the values that
there are, ``JS = H((P + Q) / 2) - (H(P) + H(Q)) / 2`` with ``H`` in bits (Lin 1991, eq. 4.1), so 0 is equal and 1
is nothing in common; numbers in the bins of the training rows' quantiles, texts by their value.

Both wander by chance. Of equal distributions, ``8 ln(2) JS / (1/n + 1/m)`` is about ``chi2(bins - 1)`` (the
second-order term of JS), and a difference of fill is about normal; a column counts only where it passes its threshold
and what chance alone passes one time in a thousand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Finding, Scalar
from capflow_assets.monitoring.drift import Placed, Reference, placed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CHANCE = 0.001
# Bins with fewer expected rows make the divergence larger than chi2 allows for.
LEAST_ROWS = 20
NAMED = 3
COLUMNS = ("column", "fill_then_pct", "fill_now_pct", "fill_points", "fill_noise", "js", "js_noise", "rows_now")


def compare(then: Reference, frame: pd.DataFrame | Placed) -> pd.DataFrame:
    """Hold the columns of a frame against those that the reference remembers.

    One row per column of the reference, the largest difference first: ``column``, ``fill_then_pct``, ``fill_now_pct``
    and ``fill_points`` (now less then), ``fill_noise`` (points that chance alone may make), ``js`` (0 to 1) and
    ``js_noise``, ``rows_now``. Where there were no values then, or are none now, ``js`` is 0: the fill says it all. A
    column that did not come has a fill of 0. An empty frame differs in nothing.

    >>> import pandas as pd
    >>> from capflow_assets.monitoring.drift import reference
    >>> then = reference(pd.DataFrame({"spend": range(100), "tier": ["gold", "none"] * 50}))
    >>> now = pd.DataFrame({"spend": range(0, 10_000, 100), "tier": [None, "none"] * 50})
    >>> compare(then, now)[["column", "fill_points", "js"]].round(2).values.tolist()
    [['spend', 0.0, 0.73], ['tier', -50.0, 0.31]]
    """
    import pandas as pd

    rows = [_compare(then, name, frame) for name in (*then.columns, *then.categories)] if len(frame) else []
    differences = pd.DataFrame(rows, columns=list(COLUMNS))
    size = differences["js"].clip(lower=(differences["fill_points"].abs() / 100))
    return differences.loc[size.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


def judge(
    differences: pd.DataFrame,
    *,
    js_warn: float = 0.1,
    js_block: float = 0.5,
    fill_warn_pct: float = 10.0,
    fill_block_pct: float = 50.0,
) -> Finding:
    """Whether a comparison passes, and whether it is so bad that yesterday's scores are better than today's.

    ``js_…`` bound the divergence and ``fill_…_pct`` the points by which the fill differs, either way. What is over a
    bound of ``block`` blocks: the finding did not pass and its severity is ``block``.
    """
    warned = _over(differences, js_warn, fill_warn_pct)
    worst = _over(differences, js_block, fill_block_pct)
    # The bounds to block by may be set below those to warn by.
    notable = differences[warned | worst]
    words = "; ".join(_words(row) for row in notable.head(NAMED).itertuples())
    more = f"; and {len(notable) - NAMED} more" if len(notable) > NAMED else ""
    return Finding(
        check="skew",
        passed=notable.empty,
        message=f"unlike the rows that the champion was trained on: {words}{more}"
        if len(notable)
        else f"{len(differences)} columns are filled and spread as those that the champion was trained on",
        severity="block" if worst.any() else "warn",
        found={
            "columns": len(differences),
            "skewed": len(notable),
            "js_max": float(differences["js"].max()) if len(differences) else 0.0,
            "fill_points_max": float(differences["fill_points"].abs().max()) if len(differences) else 0.0,
        },
        sample=tuple(_sampled(row) for row in notable.head(10).itertuples()),
    )


def divergence(then: np.ndarray, now: np.ndarray) -> float:
    """The Jensen-Shannon divergence of two vectors of shares, in bits.

    >>> import numpy as np
    >>> divergence(np.array([0.5, 0.5]), np.array([0.5, 0.5])), divergence(np.array([1, 0.0]), np.array([0.0, 1]))
    (0.0, 1.0)
    """
    import numpy as np
    from scipy.special import entr

    bits = (entr((then + now) / 2).sum() - (entr(then).sum() + entr(now).sum()) / 2) / np.log(2)
    return float(np.clip(bits, 0.0, 1.0))


def _compare(
    then: Reference, name: str, frame: pd.DataFrame | Placed
) -> tuple[str, float, float, float, float, float, float, int]:
    import numpy as np
    from scipy.stats import chi2, norm

    by_bins = frame.columns[name] if isinstance(frame, Placed) else placed(then, name, frame)
    shares_then, null_then, shares_now, null_now = by_bins
    fill_then, fill_now, rows = 1 - null_then, 1 - null_now, len(frame)
    pooled = (fill_then * then.rows + fill_now * rows) / (then.rows + rows)
    spread = np.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / then.rows + 1 / rows))
    fill_noise = 100 * float(norm.isf(CHANCE / 2) * spread)
    js = noise = 0.0
    known_then, known_now = fill_then * then.rows, fill_now * rows
    if min(known_then, known_now) > 0.5:
        js = divergence(shares_then / shares_then.sum(), shares_now / shares_now.sum())
        freedom = int(((shares_then > 0) | (shares_now > 0)).sum()) - 1
        several = float(chi2.isf(CHANCE, freedom)) if freedom else 0.0
        noise = several * (1 / known_then + 1 / known_now) / (8 * np.log(2))
        if min(known_then, known_now) < LEAST_ROWS:
            noise = max(noise, 1.0)
    points = 100 * (fill_now - fill_then)
    return name, 100 * fill_then, 100 * fill_now, points, fill_noise, js, float(noise), rows


def _over(differences: pd.DataFrame, js: float, fill_points: float) -> pd.Series:
    filled = differences["fill_points"].abs()
    spread = (differences["js"] > js) & (differences["js"] > differences["js_noise"])
    return spread | ((filled > fill_points) & (filled > differences["fill_noise"]))


def _words(row: Any) -> str:
    return (
        f"{row.column} (divergence {row.js:.2f}; filled in {row.fill_now_pct:.1f} % of the rows, "
        f"then in {row.fill_then_pct:.1f} %)"
    )


def _sampled(row: Any) -> dict[str, Scalar]:
    figures = {name: round(float(getattr(row, name)), 4) for name in ("js", "fill_then_pct", "fill_now_pct")}
    return {"column": str(row.column), **figures}
