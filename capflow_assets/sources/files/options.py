"""What a customer may say about its folders of pictures, recordings and texts, and the columns that come of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from capflow_assets.sources.files import media
from capflow_assets.sources.reading import arrow_frames

COLUMNS = ("path", "relative_path", "name", "kind", "media_type", "size_bytes", "sha256", "modified_at")
CONTENT = "content"
OWN = (*COLUMNS, CONTENT, *arrow_frames.RESERVED)


def _with_groups(pattern: str) -> str:
    import regex

    try:
        groups = regex.compile(pattern).groupindex
    except regex.error as error:
        raise ValueError(f"a regular expression; {error}") from None
    taken = sorted(set(groups) & set(OWN))
    if pattern and (not groups or taken):
        also = f", none named {', '.join(taken)}" if taken else ""
        raise ValueError(rf"named groups, such as (?P<item_id>[^/]+)\.png${also}")
    return pattern


class Options(BaseModel):
    """What links the files to items and users."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    link: Annotated[str, AfterValidator(_with_groups)] = Field(
        "", description=r"A regular expression found in the path below the folder: (?P<item_id>[^/]+)\.png$"
    )
    manifest: str | None = Field(None, description="A CSV file below the folder that names files and ids.")
    manifest_path: str = Field("path", description="The manifest's column with the path below the folder.")
    kinds: tuple[media.Kind, ...] = Field((), description="The kinds of files to keep; all where none is named.")
    contents: bool = Field(False, description="Whether what texts say comes with them, as the column content.")
