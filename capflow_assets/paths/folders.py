"""Folders whose names libraries read otherwise than people do: which are refused, and what the engine is told instead.

SQLAlchemy ends a file's name at ``?``, Spark reads ``*``, ``[`` and ``{`` as patterns, delta-rs turns ``%20`` into a
blank, and the embedded engine writes whatever a URL would encode into a folder of the encoded name. What no detour
makes right is refused; for the rest the engine is told of a link of a plain name, which leads to the same folder.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from capflow_assets.errors import CapflowError

UNFIT = re.compile(r"""[\x00-\x1f\x7f-\x9f\ud800-\udfff?*\[\]{}\\^|`]|%[0-9A-Fa-f]{2}""")
PLAIN = re.compile(r"[\w/.+&'$:;,=!@()-]*", re.ASCII)
# SQLite takes names of 512 bytes; below a home come ``dagster/history/runs/`` and the longest name of a file there.
LONGEST_HOME_BYTES = 420
LONGEST_LAKE_BYTES = 2000
_links: dict[str, Path] = {}


def require_fit(folder: str, what: str, longest_bytes: int) -> None:
    """Refuse a folder that one of the libraries below us would take for another.

    >>> require_fit("/data/caf\\u00e9 & co/100%", "the home", 420)
    >>> require_fit("/data/really?", "the home", 420)
    Traceback (most recent call last):
    capflow_assets.errors.CapflowError: the home cannot be '/data/really?'.
      Expected: a path without ? * [ ] { } \\ ^ | ` control characters and % before two hexadecimal digits
      Came: '?' after '/data/really'
      To do: rename the folder, or choose another

    Raises:
        CapflowError: names the folder and the first character that does not do, or its length.
    """
    unfit = UNFIT.search(folder)
    if unfit is not None:
        raise CapflowError(
            f"{what} cannot be {folder!r}",
            expected="a path without ? * [ ] { } \\ ^ | ` control characters and % before two hexadecimal digits",
            came=f"{unfit[0]!r} after {folder[: unfit.start()]!r}",
            do="rename the folder, or choose another",
        )
    length = len(folder.encode())
    if length > longest_bytes:
        raise CapflowError(
            f"{what} has a path that is too long",
            expected=f"at most {longest_bytes:,} bytes, so that the names below it can be opened",
            came=f"{length:,} bytes",
            where=f"{folder[:60]}…",
            do="choose a folder nearer to the root",
        )


def engine_name(folder: str) -> str:
    """What the embedded engine is to be told instead of ``folder``: the same, or a link that leads there.

    >>> engine_name("/data/shop")
    '/data/shop'
    """
    if "://" in folder or PLAIN.fullmatch(folder):
        return folder
    link = _links.get(folder)
    if link is None or not link.is_symlink():  # those who clear temporary files do not know of it
        link = _links[folder] = _linked(folder)
    return str(link)


def _linked(folder: str) -> Path:
    """A link to ``folder`` in a temporary folder of this user's alone, for as long as the process lives."""
    place = next((folder for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp") if PLAIN.fullmatch(folder)), None)  # noqa: S108
    if place is None:
        expected = "a folder of letters, digits and . _ - for temporary files"
        raise CapflowError("TMPDIR cannot be used", expected=expected, came=repr(tempfile.gettempdir()))
    own = Path(tempfile.mkdtemp(prefix="capflow-", dir=place))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    with suppress(OSError):  # a link that leads nowhere can be written through by nobody; what may not be is told later
        Path(folder).mkdir(parents=True, exist_ok=True)
    link = own / "folder"
    link.symlink_to(Path(folder).absolute(), target_is_directory=True)
    return link
