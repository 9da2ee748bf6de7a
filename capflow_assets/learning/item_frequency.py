"""Personal item frequencies: how often each user buys each item, newer baskets counting more; TIFU's user vectors.

H. Hu, X. He, J. Gao, Z.-L. Zhang, "Modeling Personalized Item Frequency Information for Next-basket Recommendation",
SIGIR (2020), section 4.1. Arrays in, arrays out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from capflow_assets.learning.baskets import Baskets


class Decay(NamedTuple):
    """How a user's baskets fade: into how many ``groups`` they are cut, and by what a basket fades inside its group
    (``within``) and a group among the groups (``between``), for each that is newer; 1 is not at all.
    """

    groups: int
    within: float
    between: float


def basket_weights(age: np.ndarray, baskets: np.ndarray, decay: Decay) -> np.ndarray:
    """What a basket weighs that has ``age`` newer ones, of a user with so many ``baskets``; float64, same shape.

    n baskets are cut, from the newest back, into groups of ``x = ceil(n / groups)``; the oldest may be smaller. The
    p-th basket from the newest of the g-th group from the newest (both from 0) weighs
    ``within^p / size(g) * between^g / number of groups``, which is equations 1 and 2 of the paper in one.

    >>> basket_weights(np.array([0, 1, 2]), np.array([3, 3, 3]), Decay(groups=2, within=0.5, between=0.25)).tolist()
    [0.25, 0.125, 0.125]
    """
    size = -(-baskets // decay.groups)
    group, place = np.divmod(age, size)
    groups = -(-baskets // size)
    members = np.minimum(size, baskets - group * size)
    weights: np.ndarray = decay.within**place / members * decay.between**group / groups
    return weights


def item_frequencies(baskets: Baskets, decay: Decay) -> csr_matrix:
    """The users' vectors: users by items, float32; sparse, of as many entries as there are pairs.

    An entry is the sum of the weights of the user's baskets that the item was in: at most 1, and 1 for what was in
    all of them where nothing fades.
    """
    from scipy.sparse import csr_matrix

    shape = (len(baskets.users), len(baskets.items))
    if not len(baskets.item):
        return csr_matrix(shape, dtype="float32")
    owner = np.repeat(np.repeat(baskets.baskets, np.diff(baskets.begins)), baskets.visits)
    weights = basket_weights(baskets.age, owner, decay)
    firsts = np.cumsum(baskets.visits, dtype="int64") - baskets.visits
    entries = np.add.reduceat(weights, firsts).astype("float32")
    return csr_matrix((entries, baskets.item, baskets.begins), shape=shape)
