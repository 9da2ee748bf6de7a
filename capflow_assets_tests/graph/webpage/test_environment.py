"""The variables that the processes of `capflow ui` get."""

from __future__ import annotations

from capflow_assets.alerts.settings import DAGSTER_URL
from capflow_assets.graph.webpage.start import environment


def test_alerts_lead_to_the_page_itself_unless_the_environment_names_another_address() -> None:
    page, proxy = "http://127.0.0.1:3000", "https://dagster.example.com"
    assert environment({}, page)[DAGSTER_URL] == page
    assert environment({DAGSTER_URL: proxy}, page)[DAGSTER_URL] == proxy


def test_events_of_one_moment_are_written_together_unless_the_environment_says_otherwise() -> None:
    assert environment({})["DAGSTER_EVENT_BATCH_SIZE"] == "500"
    assert environment({"DAGSTER_EVENT_BATCH_SIZE": "0"})["DAGSTER_EVENT_BATCH_SIZE"] == "0"
