from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import capflow_assets
from capflow_assets.synthesis.figures import NO_HASH, TICKS
from capflow_assets.synthesis.groups import Groups

SHARES = """
import numpy as np
from capflow_assets.synthesis.entities import ENTITIES
from capflow_assets.synthesis.groups import Groups, transformed
groups = Groups.of(np.zeros(3, np.int32), np.arange(3), 1)
(share,) = (variable for variable in ENTITIES["bills"].variables if variable.slug == "discount_share")
values = transformed(share.transform, np.array([1.0, 3.0, -1.0]), np.array([1.0, 1.0, 1.0]))
print(groups.summed(values[None], 100)[0, :3, 0].tolist())
"""


def test_where_nothing_can_be_kept_loops_are_compiled_all_the_same(tmp_path: Path) -> None:
    """A package that belongs to root, and a user without a home: nobody may write where numba would."""
    package = tmp_path / "capflow_assets"
    shutil.copytree(Path(capflow_assets.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "synthesis" / "__pycache__").touch()
    nowhere = "/proc/nowhere"
    completed = subprocess.run(
        [sys.executable, "-c", SHARES],
        cwd=tmp_path,
        env={"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout == "[2.0, 312.5, 75.0]\n"


def test_large_groups() -> None:
    """Tables grow with the group, and rows that come in no order are put in order."""
    of = random.Random(0)
    values = [of.choice((NO_HASH, of.randrange(-(1 << 62), 1 << 62), of.randrange(300) << 40)) for _ in range(20_000)]
    group = np.array([0 if of.random() < 0.9 else 1 for _ in values], dtype=np.int32)
    place = np.array([of.randrange(1000) for _ in values])
    groups = Groups.of(group, place, 2)
    hashes = np.array(values)
    expected = [
        len({value for value, own in zip(values, group, strict=True) if own == number} - {NO_HASH}) for number in (0, 1)
    ]
    assert groups.different(hashes)[0].tolist() == expected
    assert groups.rows.tolist() == sorted(range(len(values)), key=lambda row: (group[row], place[row]))


def test_a_first_value_that_lies_far_off_costs_few_digits() -> None:
    """Squares are told by how far values are from the first one."""
    values = np.array([9e9, *(100.0 + step / 7 for step in range(999))])
    groups = Groups.of(np.zeros(len(values), np.int32), np.arange(len(values)), 1)
    (deviation,) = groups.summed(values[None], TICKS)[0, 6]
    assert abs(deviation / TICKS / np.std(values, ddof=1) - 1) < 1e-12
