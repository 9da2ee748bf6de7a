"""Exact sums, and what is divided of them, so that every engine comes to the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

EXACT = "decimal(18,4)"
TOTAL = "decimal(28,4)"


def exact(value: Expression) -> Expression:
    """Money or a quantity to the fourth decimal: sums of it do not depend on the order of the rows."""
    return value.cast(EXACT)


def zero() -> Expression:
    """Nothing, as an exact value."""
    from pyspark.sql import functions as F

    return exact(F.lit(0))


def exact_sum(value: Expression) -> Expression:
    """A sum of ``exact`` values, as a double."""
    from pyspark.sql import functions as F

    return F.sum(exact(value)).cast("double")


def total(sum_: Expression) -> Expression:
    """A sum of ``exact`` values, or of such sums: of 10^10 rows of the largest value that is allowed, and more."""
    return sum_.cast(TOTAL)


def square_of_total(sum_: Expression) -> Expression:
    """The square of a ``total``, exact below 10^14; a larger one counts as that, as its square could not be summed."""
    from pyspark.sql import functions as F

    most = F.lit("99999999999999.9999").cast(EXACT)
    bounded = F.greatest(F.least(sum_, most), -most).cast(EXACT)
    return bounded * bounded


def ratio(part: Expression, whole: Expression) -> Expression:
    """Part divided by whole, one division of two doubles; null where the whole is not above 0."""
    from pyspark.sql import functions as F

    return F.when(whole > 0, part.cast("double") / whole.cast("double"))


def as_double(value: Expression) -> Expression:
    """A long decimal as the nearest double, by its digits: a plain cast rounds twice on one of the engines."""
    return value.cast("string").cast("double")


def concentration(squares: Expression, total: Expression) -> Expression:
    """Herfindahl index: the sum of the squared shares, at most 1; null where the total is not above 0."""
    from pyspark.sql import functions as F

    whole = total.cast("double")
    return F.when(total > 0, F.least(as_double(squares) / (whole * whole), F.lit(1.0)))


def change_pct(now: Expression, before: Expression) -> Expression:
    """How much more now is than before, in per cent; null where before is not above 0."""
    return ratio(now - before, before) * 100


def deviation(count: Expression, total: Expression, squares: Expression, largest: Expression) -> Expression:
    """The sample standard deviation of values, none below 0, from sums of them; null below two values.

    All are equal where the largest is the average: then it is 0, and not what rounding leaves of it.
    """
    from pyspark.sql import functions as F

    n, sum_, square = count.cast("double"), total.cast("double"), as_double(squares)
    variance = (n * square - sum_ * sum_) / (n * (n - 1))
    spread = F.sqrt(F.when(variance > 0, variance).otherwise(F.lit(0.0)))
    equal = largest.cast(TOTAL) * count.cast("decimal(9,0)") == total
    return F.when(count > 1, F.when(equal, F.lit(0.0)).otherwise(spread))


def surprise(part: Expression, whole: Expression) -> Expression:
    """The term of a share p in an entropy, -p ln p in nats; 0 where p is 0, null where the whole is not above 0.

    The engines' logarithms may differ in the last bit, so it ends at the sixth decimal.
    """
    from pyspark.sql import functions as F

    share = ratio(part, whole)
    term = F.when(share > 0, -share * F.ln(share)).when(share.isNotNull(), F.lit(0.0))
    return term.cast("decimal(18,6)")


def where(condition: Expression, value: Expression) -> Expression:
    """The sum of a value over the rows of a condition; 0 where there are none."""
    from pyspark.sql import functions as F

    return F.coalesce(F.sum(F.when(condition, value)), F.lit(0))
