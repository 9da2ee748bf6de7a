"""Draw docs/graph.png anew from a home that was run, best the demo's.

make demo && .venv/bin/python -m capflow_assets_tests.platform.screenshot .capflow docs/graph.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from capflow_assets_tests.platform.browser import browsing, open_graph, visiting
from capflow_assets_tests.platform.server import serving

EXPANDED = ("features", "models", "predictions", "health")


def draw(home: Path, picture: Path) -> None:
    """All groups from raw to health in one picture; those with many tables stay boxes, so that it can be read."""
    with serving(home) as server, browsing() as browser, visiting(browser, server) as page:
        page.goto("/asset-groups")
        page.get_by_text("Hide navigation").click()
        open_graph(page, EXPANDED)
        for _ in range(2):
            page.get_by_label("zoom_out").click()
        # The graph glides to its place.
        page.wait_for_timeout(2000)
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=picture)


if __name__ == "__main__":
    draw(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
