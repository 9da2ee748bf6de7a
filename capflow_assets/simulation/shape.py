"""How one customer writes its files: the format, the dialect, and its own names for the columns."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_STRFTIME = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


class Shape(BaseModel):
    """The dialect of a customer's files. Date patterns are Spark's; times are local and without a zone in CSV.

    ``names`` gives, per table, the customer's own name of a column (a column without one keeps the canonical name).
    ``expressions`` gives, per table, a Spark SQL expression that the mapping uses in place of that name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["csv", "parquet"] = "csv"
    delimiter: str = ","
    header: bool = True
    encoding: str = "utf-8"
    timestamp_format: str = "yyyy-MM-dd HH:mm:ss"
    date_format: str = "yyyy-MM-dd"
    true: str = "true"
    false: str = "false"
    names: dict[str, dict[str, str]] = Field(default_factory=dict)
    expressions: dict[str, dict[str, str]] = Field(default_factory=dict)

    def name(self, table: str, column: str) -> str:
        """What the customer calls ``column``."""
        return self.names.get(table, {}).get(column, column)

    def mapping(self, table: str, column: str) -> str:
        """What the customer's TOML says ``column`` is made from."""
        return self.expressions.get(table, {}).get(column, self.name(table, column))

    @property
    def strftime(self) -> str:
        """The timestamp format as Python writes it.

        >>> Shape(timestamp_format="dd/MM/yyyy HH:mm").strftime
        '%d/%m/%Y %H:%M'
        """
        pattern = self.timestamp_format
        for spark, python in _STRFTIME.items():
            pattern = pattern.replace(spark, python)
        return pattern

    def options(self, columns: list[str]) -> dict[str, Any]:
        """The ``options`` of a table in the TOML; ``columns`` are the customer's names in file order."""
        if self.source == "parquet":
            return {}
        named: dict[str, Any] = {} if self.header else {"names": columns}
        return {
            "delimiter": self.delimiter,
            "header": self.header,
            "encoding": self.encoding,
            "timestamp_format": self.timestamp_format,
            "date_format": self.date_format,
            **named,
        }


BOOTS_SHAPE = Shape(
    delimiter=";",
    timestamp_format="dd/MM/yyyy HH:mm",
    date_format="dd/MM/yyyy",
    true="Y",
    false="N",
    names={
        "bills": {
            "bill_id": "Receipt No",
            "user_id": "Card",
            "store_id": "Branch",
            "billed_at": "Date",
            "amount": "Total",
            "discount": "Saved",
            "quantity": "Pieces",
        },
        "line_items": {
            "bill_id": "Receipt No",
            "item_id": "SKU",
            "user_id": "Card",
            "store_id": "Branch",
            "billed_at": "Date",
            "quantity": "Qty",
            "amount": "Paid",
            "discount": "Saved",
        },
        "users": {"user_id": "Card", "joined_at": "Member since", "age_band": "Age", "income_band": "Income"},
        "items": {"item_id": "SKU", "description": "Text", "category": "Range", "price": "RRP", "own_brand": "Own"},
        "stores": {"store_id": "Branch", "name": "Branch name", "latitude": "Lat", "longitude": "Lon"},
        "campaigns": {"campaign_id": "Mailing", "starts_at": "From", "ends_at": "Until"},
        "messages": {"campaign_id": "Mailing", "user_id": "Card", "sent_at": "Wave", "is_control": "Held out"},
        "coupons": {"coupon_id": "Voucher", "campaign_id": "Mailing", "item_id": "SKU"},
        "redemptions": {
            "coupon_id": "Voucher",
            "campaign_id": "Mailing",
            "user_id": "Card",
            "redeemed_at": "Used on",
        },
    },
    expressions={
        "items": {"own_brand": "`Own` = 'Y'"},
        "messages": {"is_control": "`Held out` = 'Y'"},
    },
)
CAFE_SHAPE = Shape(
    source="parquet",
    names={
        "bills": {
            "bill_id": "ticket",
            "user_id": "member",
            "store_id": "venue",
            "billed_at": "ts",
            "amount": "eur",
        },
        "line_items": {
            "bill_id": "ticket",
            "item_id": "plu",
            "user_id": "member",
            "store_id": "venue",
            "amount": "eur",
        },
        "users": {"user_id": "member"},
        "items": {"item_id": "plu"},
        "stores": {"store_id": "venue"},
        "messages": {"user_id": "member"},
        "coupons": {"item_id": "plu"},
        "redemptions": {"user_id": "member"},
    },
)
