"""What customers' TOMLs say that matters to online answers, read again when a file has changed."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field, replace

from capflow_assets.customers.serving_settings import ServingSettings
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.expressions.ids import normal
from capflow_assets.home.keys import customer_key
from capflow_assets.landing.personal import OWNER, user_pseudonym
from capflow_assets.serving.problems import not_there

LOG = logging.getLogger("capflow.serving")


@dataclass(frozen=True, slots=True)
class Declared:
    """What a customer's TOML says that matters here; ``key`` is its key where ids are hashed on landing."""

    changed: float
    settings: ServingSettings
    models: frozenset[str]
    key: bytes | None = None

    def spellings(self, user: str) -> tuple[str, ...]:
        """How the lake may spell a user's id, which comes as the source writes it: in its normal form, or hashed."""
        own = normal(user)
        return (own,) if self.key is None else (own, user_pseudonym(own, self.key))


@dataclass(slots=True)
class DeclaredCustomers:
    """The customers of a deployment as they are declared now."""

    deployment: Deployment
    _known: dict[str, Declared] = field(default_factory=dict)

    def of(self, customer: str) -> Declared:
        """What a customer's TOML says; what it said last, where it cannot be read.

        Raises:
            ProblemError: there is no such customer.
        """
        try:  # for each request, so without making paths
            changed = os.stat(f"{self.deployment.home.root}/customers/{customer}.toml").st_mtime  # noqa: PTH116
        except OSError:
            raise not_there() from None
        known = self._known.get(customer)
        if known is None or known.changed != changed:
            try:
                known = _declared(self.deployment, customer, changed)
            except CapflowError as error:
                LOG.warning({"what": "a TOML cannot be read", "customer": customer, "error": str(error)[:300]})
                every = frozenset(self.deployment.stages.models)
                known = replace(known or Declared(changed, ServingSettings.model_validate({}), every), changed=changed)
            self._known[customer] = known
        return known


def _declared(deployment: Deployment, customer: str, changed: float) -> Declared:
    toml = deployment.customer(customer)
    is_hashed = any(OWNER in table.personal for table in toml.tables.values())
    models = frozenset(name for name in deployment.stages.models if toml.has_model(name))
    key = customer_key(deployment.home, customer) if is_hashed else None
    return Declared(changed, toml.serving, models, key)
