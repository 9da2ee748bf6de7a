"""The list of models is that of the models there are, and says of each what its file says."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

from capflow_assets import models
from capflow_assets.definitions import STAGES
from capflow_assets.pages.model_list import model_list

ROOT = Path(models.__file__).parents[2]
FILE = ROOT / "docs" / "models.md"
PAGE = (ROOT / "bench" / "models.md").read_text(encoding="utf-8")


def test_the_list_in_the_docs_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == model_list(STAGES, PAGE), "a model has changed: run `make models`"


def test_every_model_is_listed_with_a_source_that_is_there() -> None:
    text = model_list(STAGES, PAGE)
    names = sorted(module.name for module in pkgutil.iter_modules(models.__path__))
    assert re.findall(r"^## `(\w+)`$", text, re.MULTILINE) == names
    for source in re.findall(r"\]\((\S+)\)", text):
        assert (FILE.parent / source).is_file(), source


def test_an_entry_says_what_its_file_says() -> None:
    (entry,) = (part for part in model_list(STAGES, PAGE).split("\n## ") if part.startswith("`churn`"))
    assert "Which active users will lapse within the next sixty days?" in entry
    assert "- **About**: a user; answers a score\n" in entry
    assert "- **Needs**: `clean/bills`, 150 days of history, 100 users, 30 users with the outcome\n" in entry
    assert "- **Reads**: `features/rfm`, `features/rhythm`\n" in entry
    assert "- **Baseline**: overdue alone\n" in entry
    assert "- **Figures**: grocer 0." in entry
    assert "- **Rules**: its calibration error at most 0.05, else a person is asked\n" in entry
