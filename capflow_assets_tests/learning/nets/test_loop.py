"""How nets learn: equally by one seed, no longer than they may, and on from where a killed process was."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.nets.checkpoints import Checkpoint
from capflow_assets.learning.nets.loop import Plan, train
from capflow_assets_tests.learning.nets.one_net import INPUTS, OUTPUTS, batches, loss, new_net, numbers

PLAN = Plan(seed=5, epochs=60, patience=60, batch=16, rate=0.1, decay=0.0)


def test_a_net_learns_what_was_planted() -> None:
    net = new_net()
    course = train(net, batches, loss, PLAN)
    assert numbers(net) == pytest.approx([2.0, -1.0, 3.0], abs=0.01)
    assert (course.ended, course.best_epoch, len(course.losses)) == ("epochs", 60, 60)
    assert course.losses[-1] < course.losses[0] / 100
    assert 0 < course.loading_share < 1


def test_one_seed_trains_equal_nets_and_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3).tolist()
    nets, plan = [new_net(), new_net(), new_net()], Plan(seed=5, epochs=2, batch=16)
    torch.manual_seed(11)
    courses = [
        train(net, batches, loss, one) for net, one in zip(nets, (plan, plan, Plan(6, 2, batch=16)), strict=True)
    ]
    assert torch.rand(3).tolist() == expected
    assert numbers(nets[0]) == numbers(nets[1]) != numbers(nets[2])
    assert courses[0].losses == courses[1].losses


def test_the_best_epoch_stays_and_patience_ends_the_training() -> None:
    net, scores = new_net(), iter([0.1, 0.5, 0.3, 0.5, 0.2, 0.9])
    seen: list[list[float]] = []

    def score() -> float:
        seen.append(numbers(net))
        return next(scores)

    course = train(net, batches, loss, Plan(epochs=50, patience=3, batch=16), score)
    assert (course.ended, course.best_epoch) == ("patience", 2)
    assert course.scores == (0.1, 0.5, 0.3, 0.5, 0.2)
    assert numbers(net) == seen[1]


def test_a_spent_budget_ends_it_with_what_was_learned() -> None:
    net = new_net()
    course = train(net, batches, loss, Plan(epochs=10_000, seconds=1e-9, batch=16))
    assert (course.ended, len(course.losses)) == ("seconds", 1)
    assert numbers(net) != numbers(new_net())


@pytest.mark.parametrize("inputs", [INPUTS[:0], np.full_like(INPUTS, np.nan)])
def test_nothing_to_learn_from_is_reported(inputs: np.ndarray) -> None:
    def of(_: np.random.Generator, __: int) -> Iterator[tuple[np.ndarray, ...]]:
        return iter([(inputs, OUTPUTS)] if len(inputs) else [])

    with pytest.raises(EvidenceError, match="A net has nothing to learn from"):
        train(new_net(), of, loss, Plan(epochs=2))


# -- checkpoints -------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from capflow_assets.learning.nets.checkpoints import Checkpoint
from capflow_assets.learning.nets.loop import Plan, train
from capflow_assets_tests.learning.nets.one_net import batches, loss, new_net, numbers

def score():
    score.epochs += 1
    if score.epochs == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return score.epochs % 3
score.epochs = 0
train(new_net(), batches, loss, Plan(epochs=6, patience=9, batch=16), score, Checkpoint(Path(sys.argv[1]), "this"))
"""


def test_a_killed_training_goes_on_as_if_it_had_never_been_interrupted(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints" / "net.safetensors"
    done = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.exists()
    plan = Plan(epochs=6, patience=9, batch=16)

    def scores(first: int) -> Iterator[float]:
        return iter([float(epoch % 3) for epoch in range(first, 7)])

    whole, rest = scores(1), scores(4)
    never, again = new_net(), new_net()
    expected = train(never, batches, loss, plan, lambda: next(whole))
    course = train(again, batches, loss, plan, lambda: next(rest), Checkpoint(file, "this"))
    assert (course.losses, course.scores, course.best_epoch) == (expected.losses, expected.scores, 2)
    assert numbers(again) == numbers(never)
    assert not file.exists()


@pytest.mark.parametrize("damage", ["cut", "text", "another training"])
def test_a_checkpoint_that_is_none_is_not_gone_on_from(tmp_path: Path, damage: str) -> None:
    checkpoint = Checkpoint(tmp_path / "net.safetensors", "this")
    optimizer = torch.optim.AdamW(new_net().parameters())
    progress, best = checkpoint.resume(new_net(), optimizer)
    progress.losses.append(1.0)
    checkpoint.save(new_net(), best, optimizer, progress)
    assert checkpoint.resume(new_net(), optimizer)[0].losses == [1.0]
    content = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes({"cut": content[:-9], "text": b"{}"}.get(damage, content))
    other = Checkpoint(checkpoint.path, "another" if damage == "another training" else "this")
    assert other.resume(new_net(), optimizer)[0].losses == []
