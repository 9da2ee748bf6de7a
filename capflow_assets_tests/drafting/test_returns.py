"""Returns that a column tells, and no sign: a draft takes them off, and asks."""

from __future__ import annotations

import tomllib

import pytest

from capflow_assets.drafting.draft import draft


def bills(folder, kinds, amount="{}", header="transaction_no,kind,date,card,total_amount"):
    rows = [
        f"{n},{kind},2024-01-{1 + n % 28:02},C{n % 7},{written.format(n + 1)}"
        for n in range(90)
        for kind, written in [(kinds[0], "{}") if n % 9 else (kinds[1], amount)]
    ]
    (folder / "pos.csv").write_text("\n".join([header, *rows]) + "\n")
    proposal = draft([str(folder)], folder, {})
    return tomllib.loads(proposal.text)["tables"]["bills"]["columns"]["amount"], proposal.questions


@pytest.mark.parametrize(
    "kinds", [("Sale", "Return"), ("VERKAUF", "GUTSCHRIFT"), ("S", "R"), ("Invoice", "Credit Note")]
)
def test_returns_whose_amounts_are_above_nought_are_taken_off(kinds, tmp_path):
    amount, questions = bills(tmp_path, kinds)
    assert amount == f"if(kind in ('{kinds[1]}'), -(total_amount), total_amount)"
    assert any(f"kind is '{kinds[1]}' in 10 rows" in question for question in questions)


@pytest.mark.parametrize(
    ("kinds", "written"), [(("Sale", "Return"), "-{}"), (("web", "store"), "{}"), (("Sale", "Gift"), "{}")]
)
def test_amounts_that_have_their_sign_and_kinds_of_other_things_are_left_alone(kinds, written, tmp_path):
    amount, questions = bills(tmp_path, kinds, written)
    assert amount == "total_amount"
    assert not any("kind" in question for question in questions)
