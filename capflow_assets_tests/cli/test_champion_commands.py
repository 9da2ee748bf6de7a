"""Whom `promote` and its siblings are for: one customer, a vertical or all, and never two of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from capflow_assets.cli.champion_commands import app


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--all", "--vertical", "footwear"], "exclude each other"),
        (["--model", "churn"], "name a customer, or --vertical, or --all"),
    ],
)
def test_whom_it_is_for_is_said_once(tmp_path: Path, arguments: list[str], words: str) -> None:
    ended = CliRunner().invoke(
        app, ["promote", *arguments, "--dry-run", "--home", str(tmp_path)], env={"COLUMNS": "200"}
    )
    assert ended.exit_code == 2
    assert words in ended.output
