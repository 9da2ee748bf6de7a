"""The whole graph on one page, in the order the data flows.

Each package is read for what its files declare; adding a table, a check or a model is adding a file to one of them.
"""

from capflow_assets.processes.collector import paused

with paused():
    from capflow_assets import clean, delivery, features, models, raw, sources, validation
    from capflow_assets.blueprint.reading import read_stages
    from capflow_assets.blueprint.sources import read_sources
    from capflow_assets.graph.build import build

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

    defs = build(STAGES, SOURCES, module=__name__)
