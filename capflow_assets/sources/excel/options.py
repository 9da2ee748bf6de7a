"""What a customer may say about its Excel workbooks."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from capflow_assets.landing.number_formats import NumberOptions
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.sources.excel.areas import Area

SheetName = Annotated[str, Field(min_length=1)]


def _is_range(text: str) -> str:
    if text:
        Area.of(text)
    return text


class Options(NumberOptions):
    """Where the table stands in such workbooks, and how text in them is written."""

    sheet: Annotated[int, Field(ge=1)] | SheetName | Annotated[tuple[SheetName, ...], Field(min_length=1)] = Field(
        1, description="The sheet's name, its number from 1, a list of names, or * for every visible one."
    )
    header: int | None = Field(
        None, ge=0, description="The number, as Excel shows it, of the row of names; 0 for none. Else the first one."
    )
    header_row: int | None = Field(None, ge=1, description="The same as header, by the name that CSV has for it.")
    names: tuple[str, ...] = Field((), description="The columns' names, in place of the header's.")
    skip_rows: int = Field(0, ge=0, description="Rows below the header that are left out, one with units, say.")
    skip_last: int = Field(0, ge=0, description="Rows at the end that are left out, one with totals, say.")
    range: Annotated[str, AfterValidator(_is_range)] = Field("", description="The cells to read, such as B3:F.")
    members: str = Field("", description="Which workbooks in a zip are read, such as orders*.xlsx; all by default.")
    file_column: str = Field("", description="A column of this name says which file a row is of, such as may/7.xlsx.")
    folder_columns: bool = Field(True, description="Whether folders called store=7 make a column, store.")
    timestamp_format: TimeFormat | None = Field(None, description="How times in text cells are written.")
    date_format: TimeFormat | None = Field(None, description="How days in text cells are written, such as dd/MM/yyyy.")
    decimal_comma: bool = Field(False, description="Whether numbers in text cells are written 1.234,56.")

    @model_validator(mode="after")
    def _one_header(self) -> Options:
        if self.header_row is not None and self.header is not None:
            raise ValueError("header or header_row, not both")
        return self

    @property
    def row_of_names(self) -> int | None:
        """The number of the row of names; 0 where there is none, None where it is the first."""
        return self.header if self.header_row is None else self.header_row
