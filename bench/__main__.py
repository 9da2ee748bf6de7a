"""Run the named benchmarks, all by default."""

from __future__ import annotations

import argparse

from bench import (
    checks,
    cohort,
    databricks,
    delivery,
    drift,
    encoders,
    features,
    features_sql,
    growth,
    health,
    landing,
    load,
    models,
    nets,
    next_basket,
    nights,
    overhead,
    policy,
    reasons,
    recommenders,
    recursive,
    rollback,
    scoring,
    sensors,
    serving,
    shop_photos,
    small,
    spoken_digits,
    sql,
    startup,
    status,
    training_fleet,
    tuning,
    users,
)

BENCHMARKS = {
    "checks": checks.run,
    "cohort": cohort.run,
    "databricks": databricks.run,
    "delivery": delivery.run,
    "drift": drift.run,
    "encoders": encoders.run,
    "features": features.run,
    "features_sql": features_sql.run,
    "fleet": databricks.fleet,
    "growth": growth.run,
    "health": health.run,
    "landing": landing.run,
    "load": load.run,
    "models": models.run,
    "nets": nets.run,
    "next_basket": next_basket.run,
    "nights": nights.run,
    "overhead": overhead.run,
    "policy": policy.run,
    "reasons": reasons.run,
    "recommenders": recommenders.run,
    "recursive": recursive.run,
    "rollback": rollback.run,
    "scoring": scoring.run,
    "sensors": sensors.run,
    "serving": serving.run,
    "shop_photos": shop_photos.run,
    "small": small.run,
    "spoken_digits": spoken_digits.run,
    "sql": sql.run,
    "startup": startup.run,
    "status": status.run,
    "training_fleet": training_fleet.run,
    "tuning": tuning.run,
    "users": users.run,
}


def main() -> None:
    """Read the names from the command line and run those benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="which ones; all by default")
    for name in parser.parse_args().names or BENCHMARKS:
        BENCHMARKS[name]()


main()
