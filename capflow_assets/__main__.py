"""``python -m capflow_assets`` is ``capflow``: the commands in a process of their own."""

import sys
from pathlib import Path

# `python -m` puts the working directory first, and whatever lies there would be imported in place of the libraries.
if (
    __name__ == "__main__"
    and not sys.flags.safe_path
    and Path(sys.path[0] or ".").resolve() != Path(__file__).parents[1]
):
    del sys.path[0]

import atexit
import logging
import os
from contextlib import suppress

from capflow_assets.cli import commands
from capflow_assets.processes import collector
from capflow_assets.processes.lifeline import INTERRUPTED, LINE, leave


class _End:
    """The end of the process, once Python has cleaned up.

    Libraries take their own threads down after that, and one of them (an engine, a store) has been seen to abort the
    process then, with all work done and written: "terminate called without an active exception".
    """

    status = 1

    def come(self) -> None:
        """Write what is still to be written, and leave."""
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody may be reading any more
                stream.flush()
        os._exit(self.status)


def run() -> None:
    """The commands, with what they exit with."""
    end = _End()
    atexit.register(end.come)  # the first to be registered is the last to be called
    commands.owns_process = True
    collector.collect_seldom()
    try:
        commands.main()
        end.status = 0
    except KeyboardInterrupt:
        end.status = INTERRUPTED
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)  # noqa: T201
        end.status = error.code if isinstance(error.code, int) else int(error.code is not None)
    if LINE.is_interrupted:
        leave(INTERRUPTED)  # Python would wait for threads that talk to an engine which has been cut off
    LINE.send("over", end.status)


if __name__ == "__main__":
    run()
