"""What the packages declare, and a deployment of it, without Dagster: for processes that carry out no graph.

Each package is read for what its files declare; adding a table, a check or a model is adding a file to one of them.
"""

from __future__ import annotations

from capflow_assets.processes.collector import paused

with paused():
    from capflow_assets import clean, delivery, features, models, raw, sources, validation
    from capflow_assets.blueprint.reading import read_stages
    from capflow_assets.blueprint.sources import read_sources
    from capflow_assets.deployment import Deployment
    from capflow_assets.home.places import Home
    from capflow_assets.home.session import NamedEngine

    SOURCES = read_sources(sources)

    STAGES = read_stages(
        {
            "raw": raw,
            "clean": clean,
            "validation": validation,
            "features": features,
            "models": models,
            "delivery": delivery,
        }
    )


def deployment(home: Home | None = None) -> Deployment:
    """What the environment points at now, as ``graph.engine.deployment`` gives it."""
    place = home or Home.of()
    if place.secrets:
        from capflow_assets.home.secrets import load_secrets

        load_secrets(place.secrets)
    return Deployment(place, STAGES, SOURCES, NamedEngine(place.engine))
