"""Draw the pictures of docs/ anew from a home that was run, best the demo's.

make demo && .venv/bin/python -m capflow_assets_tests.platform.screenshot .capflow docs
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from capflow_assets_doubles.page_server import serving
from capflow_assets_tests.platform.browser import browsing, open_graph, visiting

EXPANDED = ("models", "predictions", "health")
CUSTOMER = "grocer"
# Where the graph lies on the page, which is 1600 × 900.
GRAPH = {"x": 530, "y": 210, "width": 910, "height": 530}
# As wide as the page's columns ask for; the first screen of it.
REPORT = {"width": 1200, "height": 860}


def draw_graph(home: Path, picture: Path) -> None:
    """All groups from raw to health in one picture; those with many tables stay boxes, so that it can be read."""
    with serving(home) as server, browsing() as browser, visiting(browser, server) as page:
        page.goto("/asset-groups")
        page.get_by_text("Hide navigation").click()
        open_graph(page, EXPANDED)
        for _ in range(2):
            page.get_by_label("zoom_out").click()
        # The graph glides to its place.
        page.wait_for_timeout(2000)
        page.screenshot(path=picture, clip=GRAPH)


def draw_report(home: Path, picture: Path) -> None:
    """The top of the page that ``capflow report`` writes of a customer."""
    with tempfile.TemporaryDirectory() as folder, browsing() as browser:
        file = Path(folder) / "report.html"
        capflow = Path(sys.executable).with_name("capflow")
        subprocess.run([str(capflow), "report", CUSTOMER, "--home", str(home), "-o", str(file)], check=True)
        page = browser.new_page(viewport=REPORT)
        page.goto(file.as_uri())
        page.screenshot(path=picture)


if __name__ == "__main__":
    home, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    draw_graph(home, folder / "graph.png")
    draw_report(home, folder / "report.png")
