"""What a customer may say about its text files of rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from capflow_assets.landing.number_formats import NumberOptions
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.sources.reading import text_encodings


class Options(NumberOptions):
    """How such files are written."""

    delimiter: str = Field(",", pattern=r'^[^\r\n"]$', description="The one character between two values.")
    header: bool = Field(True, description="Whether the first row names the columns.")
    names: tuple[str, ...] = Field((), description="The columns' names, in place of the header's.")
    encoding: Annotated[str, AfterValidator(text_encodings.known_encoding)] = Field(
        "utf-8", description="As Python names it."
    )
    quote: str = Field('"', max_length=1, description="Stands around values; empty for none.")
    escape: str = Field("", max_length=1, description="Stands before a quote inside one; empty where it is doubled.")
    null_values: tuple[str, ...] = Field((), description="Text that means nothing, besides the empty one.")
    comment: str = Field("", max_length=1, description="Lines that begin with it are left out.")
    multiline: bool = Field(False, description="Whether quoted values go over several lines (such files read slower).")
    fixed_whitespace: bool = Field(False, description="Columns are split by runs of white space, without quotes.")
    header_row: int | None = Field(
        None, ge=1, le=10_000, description="The line that names the columns; what stands above it is left out."
    )
    skip_last: int = Field(0, ge=0, le=10_000, description="Rows at a file's end that are left out, totals, say.")
    undecodable: Literal["refuse", "reject"] = Field(
        "refuse", description="What bytes that are no text in the encoding do: refuse the file, or reject their rows."
    )
    members: str = Field("", description="Which files in a zip are read, such as orders*.csv; all of them by default.")
    file_column: str = Field("", description="A column of this name says which file a row is of, such as may/7.csv.")
    folder_columns: bool = Field(True, description="Whether folders called store=7 make a column, store.")
    timestamp_format: TimeFormat | None = Field(None, description="How times are written, such as dd/MM/yyyy HH:mm.")
    date_format: TimeFormat | None = Field(None, description="How days are written, such as yyyyMMdd.")
    decimal_comma: bool = Field(False, description="Whether numbers are written 1.234,56.")

    @model_validator(mode="after")
    def _one_header(self) -> Options:
        if self.header_row and not self.header:
            raise ValueError("header_row without header = false; for files without one, names gives the columns")
        return self
