"""What Alembic makes anew at every look at a database, made once a process: a tenth of the tests' time.

A home is opened thousands of times in a round of tests, and each time the scripts of ninety migrations were executed to
learn which one is the newest. That does not depend on what a test does. Processes that tests start do all of it, as
those of users do.
"""

from __future__ import annotations

from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory


@cache  # once a process
def remember() -> None:
    """From here on this process executes migrations' scripts once."""
    read = ScriptDirectory.from_config
    known: dict[tuple[str | None, str | None], ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        place = (config.get_main_option("script_location"), config.get_main_option("version_locations"))
        if place not in known:
            known[place] = read(config)
        return known[place]

    ScriptDirectory.from_config = from_config  # type: ignore[method-assign, assignment]
