"""The door: for each row of a delivery the reason why it is held back, or none.

The rules are asked in this order, and the first that holds a user back is the reason: suppression, consent, hold-out,
band, frequency cap, quiet hours. All are read anew whenever a delivery is sent or goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SUPPRESSED = "suppressed"
NO_CONSENT = "no consent"
HELD_OUT = "held out"
LOW_BAND = "below the band"
CAPPED = "frequency cap"
QUIET = "quiet hours"
# Which of a user's rows are held back, by a rule that looks at a batch.
Mask = Callable[["pa.RecordBatch"], "np.ndarray"]


@dataclass(frozen=True, slots=True)
class Door:
    """The rules of one delivery, each a reason and the mask of the rows that it holds back.

    ``losers`` are the users for whom a cap has left no place, each with who took it.
    """

    masks: tuple[tuple[str, Mask], ...] = ()
    losers: Mapping[str, str] = field(default_factory=dict)
    late: tuple[tuple[str, Mask], ...] = ()

    def reasons(self, batch: pa.RecordBatch) -> pa.Array:
        """One text per row, null where the row goes."""
        import pyarrow as pa

        names, codes = self._judged(batch, self.masks)
        if self.losers:
            for place, user in enumerate(batch.column("user_id").to_pylist()):
                if codes[place] < 0 and user in self.losers:
                    names.append(self.losers[user])
                    codes[place] = len(names) - 1
        late, late_codes = self._judged(batch, self.late)
        waits = (codes < 0) & (late_codes >= 0)
        codes[waits] = late_codes[waits] + len(names)
        return pa.array([*names, *late], pa.string()).take(pa.array(codes, mask=codes < 0))

    def lets(self, batch: pa.RecordBatch) -> np.ndarray:
        """Which rows pass the rules that ask no other delivery: those that claim a place under a cap."""
        return self._judged(batch, self.masks)[1] < 0

    @staticmethod
    def _judged(batch: pa.RecordBatch, masks: Iterable[tuple[str, Mask]]) -> tuple[list[str], np.ndarray]:
        """The rules' names, and for each row which is the first to hold it back; -1 for none."""
        import numpy as np

        names, codes = [], np.full(batch.num_rows, -1, dtype=np.int64)
        for number, (reason, mask) in enumerate(masks):
            names.append(reason)
            if (codes < 0).any():
                codes[mask(batch) & (codes < 0)] = number
        return names, codes
