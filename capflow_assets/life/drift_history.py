"""The history of a model's drift, ``health/{model}``: read for the season before and the last sound fill, and kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from capflow_assets.contract import Table
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    import pandas as pd

# A year in whole weeks, and how far from it a scoring may lie.
SEASON_DAYS, SEASON_WITHIN_DAYS = 364, 10
READ = ("as_of", "column", "psi", "is_over", "fill_now_pct", "mean", "fault")


def table_of(model: str) -> str:
    """The table of a model's drift."""
    return f"health/{model}"


@dataclass(frozen=True, slots=True)
class DriftHistory:
    """A row per column and scoring with the columns of ``READ``, oldest first; empty where nothing was scored yet."""

    rows: pd.DataFrame

    @classmethod
    def of(cls, lake: Lake, customer: str, model: str) -> DriftHistory:
        """The history as it lies. Rows of earlier releases have neither means nor faults."""
        import pandas as pd

        if not lake.exists(customer, table_of(model)):
            return cls(pd.DataFrame(columns=list(READ)))
        known = [name for name in READ if name in lake.delta(customer, table_of(model)).schema().to_arrow().names]
        rows = lake.arrow(customer, table_of(model), columns=known).to_pandas()
        return cls(rows.reindex(columns=list(READ)).sort_values("as_of", kind="stable", ignore_index=True))

    def year_before(self, as_of: datetime) -> pd.DataFrame:
        """The rows of the scoring nearest to the same weekday a year before; none where none lies within ten days."""
        import pandas as pd

        wanted = pd.Timestamp(as_of) - timedelta(days=SEASON_DAYS)
        apart = (self.rows["as_of"] - wanted).abs() if len(self.rows) else pd.Series(dtype="timedelta64[ns]")
        near = apart[apart <= timedelta(days=SEASON_WITHIN_DAYS)]
        return self.rows.loc[near.index[near == near.min()]] if len(near) else self.rows.head(0)

    def sound_fill(self, as_of: datetime) -> dict[str, float]:
        """The fill of each column, in per cent, in the newest scoring before a moment at which it was not broken."""
        if self.rows.empty:
            return {}
        is_sound = self.rows["fault"].fillna("") == ""
        sound = self.rows[is_sound & (self.rows["as_of"] < as_of)].dropna(subset=["fill_now_pct"])
        return {str(name): float(fill) for name, fill in sound.groupby("column")["fill_now_pct"].last().items()}

    def with_rows(self, rows: pd.DataFrame, as_of: datetime) -> DriftHistory:
        """The same with the rows of a scoring in the place of those of its moment."""
        import pandas as pd

        moment = pd.Timestamp(as_of)
        newer = rows.assign(as_of=moment).reindex(columns=list(READ))
        kept = self.rows[self.rows["as_of"] != moment] if len(self.rows) else self.rows
        both = newer if kept.empty else pd.concat([kept, newer], ignore_index=True)
        return DriftHistory(both.sort_values("as_of", kind="stable", ignore_index=True))


def keep_rows(lake: Lake, customer: str, model: str, declared: Table, rows: pd.DataFrame) -> int:
    """Put the rows of one scoring by one version in the place of those of before; the table's new version.

    Columns that an earlier release did not have are added, null in its rows.

    Raises:
        TableError: the table is damaged.
    """
    from deltalake import Field, Schema
    from deltalake.schema import PrimitiveType

    name, schema = table_of(model), ", ".join(f"`{column.name}` {column.type}" for column in declared.columns)
    frame = lake.spark().createDataFrame(rows, schema=schema)
    if lake.exists(customer, name):
        stored = lake.delta(customer, name)
        known = set(stored.schema().to_arrow().names)
        fields = [Field(one.name, PrimitiveType(one.type)) for one in declared.columns if one.name not in known]
        if fields:
            stored.alter.add_columns(list(Schema(fields).fields))
            lake.committed(lake.path(customer, name))
    first = rows.iloc[0]
    where = f"as_of = timestamp '{first['as_of'].strftime('%Y-%m-%d %H:%M:%S.%f')}'"
    return lake.replace(frame, customer, name, where=f"{where} and model_version = {int(first['model_version'])}")
