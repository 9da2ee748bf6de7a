"""The training loop against a bare torch loop of the same net and batches: examples a second, and time spent loading.

On the CPU, or in bfloat16 on a GPU where there is one.
"""

from __future__ import annotations

import statistics
import time

USERS, ITEMS, VISITS, WIDTH_USED = 2_500, 2_000, 12, 5
ROUNDS = 3


def run() -> None:
    """Print the rates of both and their ratio, the median of some rounds in turn."""
    import numpy as np
    import torch

    from capflow_assets.learning.basket_sequences import WIDTH, BasketRows
    from capflow_assets.learning.nets.basket_attention import next_basket_loss
    from capflow_assets.learning.nets.devices import Device
    from capflow_assets.learning.nets.loop import Plan, train
    from capflow_assets.learning.sequence_lists import Shape

    random, shape, device = np.random.default_rng(0), Shape(), Device.best()
    baskets = np.zeros((USERS * VISITS, WIDTH), dtype="int32")
    baskets[:, :WIDTH_USED] = random.zipf(1.3, (len(baskets), WIDTH_USED)) % ITEMS + 1
    rows = BasketRows(np.arange(USERS), np.arange(ITEMS), np.arange(USERS + 1) * VISITS, baskets)
    stretches, plan = rows.stretches(shape.visits), Plan(epochs=1, seconds=600)

    def bare() -> float:
        torch.set_num_threads(plan.threads)
        net = shape.net(ITEMS).to(device.name).train()
        optimizer = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=plan.decay)
        began = time.perf_counter()
        for arrays in rows.batches(stretches, shape.visits, np.random.default_rng(0), plan.batch * device.batches):
            with device.precision():
                loss = next_basket_loss(net, *(torch.from_numpy(array).to(device.name) for array in arrays))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        float(loss.detach())
        return len(stretches[0]) / (time.perf_counter() - began)

    def ours() -> tuple[float, float]:
        began = time.perf_counter()
        course = train(
            shape.net(ITEMS), lambda at, size: rows.batches(stretches, shape.visits, at, size), next_basket_loss, plan
        )
        return len(stretches[0]) / (time.perf_counter() - began), course.loading_share

    bare()
    pairs = [(bare(), *ours()) for _ in range(ROUNDS)]
    by_hand, by_loop, loading = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(f"{device.name}: a bare loop {by_hand:,.0f} rows of baskets a second, ours {by_loop:,.0f}")  # noqa: T201
    print(f"ratio {statistics.median(loop / hand for hand, loop, _ in pairs):.2f}, {loading:.0%} of the time loading")  # noqa: T201
