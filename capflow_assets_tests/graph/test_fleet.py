"""Who is ready for which model: one verdict for table, training and terminal; the picture of all customers."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from capflow_assets.cli.readiness_matrix import print_matrix
from capflow_assets.contract import Window
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.expressions.as_of import as_of_moment
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.graph.fleet import LOOKS, MOST_DRAWN, draw_fleet, fleet_asset, heat_map, matrix
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.verdicts import Standing, standing, standings, training_verdict
from capflow_assets.pages.plots import LARGEST_BYTES, png
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import EACH_KIND, TestHome, own_environment

AS_OF = datetime(2024, 6, 30, 20, tzinfo=UTC)
MODELS = list(EACH_KIND)
# They answer from the first day.
RULES = [name for name in MODELS if STAGES.model(name).model.answers_from]


def row(model: str | None, need: str, state: str = "ready", **more: Any) -> dict[str, Any]:
    defaults = {"fix": "", "risk": "", "found": 1.0, "needed": 1.0, "position": 1, "as_of": AS_OF}
    return {"model": model, "need": need, "readiness": state, **defaults, **more}


READY = [row(None, "feed", found=0.0), row("churn", "users"), row("churn", "positives")]
CALM = {"over": False, "psi_max": 0.01, "threshold": 0.25, "worst": "visits"}


def stand(rows: list[dict[str, Any]], health: dict[str, Any] | None = None, days_later: float = 0) -> Standing:
    return standing("shop", "churn", rows, health or {}, AS_OF + timedelta(days=days_later))


def test_ready_where_nothing_speaks_against_it() -> None:
    assert stand(READY, CALM) == Standing("shop", "churn", "ready")


def test_not_ready_says_what_is_missing_and_no_risk() -> None:
    rows = [
        *READY,
        row("churn", "history_days", "not ready", fix="needs 9 days"),
        row("churn", "x", "at risk", risk="r"),
    ]
    assert stand(rows) == Standing("shop", "churn", "not ready", ("needs 9 days",))
    no_bills = [row(None, "feed", "not ready", fix="no bill has come yet"), *READY[1:]]
    assert stand(no_bills).readiness == "not ready"
    assert stand([*READY, row("other", "users", "not ready", fix="needs users")]).readiness == "ready"


def test_drift_is_a_risk() -> None:
    drifted = stand(READY, {"over": True, "psi_max": 0.4, "threshold": 0.25, "worst": "visits"})
    assert drifted == Standing(
        "shop", "churn", "at risk", ("visits has drifted: PSI 0.40, threshold 0.25; train again",)
    )


def test_a_feed_that_fell_silent_since_the_last_run_is_a_risk() -> None:
    assert stand(READY, days_later=7.9).readiness == "ready"
    silent = stand(READY, days_later=8)
    assert silent.reasons == ("the newest bill is of 2024-06-30, 8 days ago; check the feed, or run the tables again",)
    (years_later,) = stand(READY, days_later=3200).reasons
    assert years_later.startswith("the newest bill is of 2024-06-30, 3,200 days ago; check the feed")
    assert years_later.endswith("archive = true in its TOML where no more will come")
    rows = [row(None, "feed", "at risk", risk="the newest bill is 12 days old; check the feed", found=12.0), *READY[1:]]
    assert stand(rows, days_later=1).reasons == ("the newest bill is 12 days old; check the feed",)


def test_age_is_no_risk_where_nothing_new_is_to_come() -> None:
    late = [row(None, "feed", "at risk", risk="the newest bill is 12 days old; check the feed", found=12.0), *READY[1:]]
    for rows in (READY, late):
        archive = standing("shop", "churn", rows, CALM, AS_OF + timedelta(days=3200), is_archive=lambda: True)
        assert archive == Standing("shop", "churn", "ready")


def test_the_newest_bill_is_named_by_its_local_day() -> None:
    """Late on 30 June in Santiago is July in UTC; and there a day in September lasts an hour less."""
    late = datetime(2024, 7, 1, 3, 30, tzinfo=UTC)
    feed = {**READY[0], "as_of": late, "found": 1.0}
    (reason,) = standing(
        "shop", "churn", [feed, *READY[1:]], CALM, late + timedelta(days=7), lambda: "America/Santiago"
    ).reasons
    assert reason.startswith("the newest bill is of 2024-06-29, 8 days ago;")
    noon = datetime(2024, 9, 1, 16, tzinfo=UTC)
    feed = {**READY[0], "as_of": noon, "found": 0.0}
    week_and_day = [feed, *READY[1:]], CALM, noon + timedelta(days=8, hours=-1)
    assert standing("shop", "churn", *week_and_day, lambda: "America/Santiago").readiness == "at risk"
    assert standing("shop", "churn", *week_and_day).readiness == "ready"


def test_a_model_without_rows_is_unknown() -> None:
    assert stand([READY[0]]).readiness == "unknown"


def opened(home: TestHome) -> Any:
    return deployment(STAGES, SOURCES, Engine(engine="sail"), Home.of(home.root, {}))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("model", MODELS)
def test_a_training_judges_as_the_table_does(acme: TestHome, bills_only: TestHome, model: str) -> None:
    for home, customer in ((acme, "acme"), (bills_only, "young")):
        place = opened(home)
        declared = place.customer(customer)
        moment = as_of_moment(place.lake.table(customer, "clean/bills"), None)
        reader = ExampleReader(place.lake, STAGES, declared, STAGES.model(model))
        verdict = training_verdict(reader, STAGES.model(model).model.params(), moment)
        rows = place.lake.arrow(customer, "validation/readiness").to_pylist()
        stored = {row["need"]: (row["found"], row["fix"], row["risk"]) for row in rows if row["model"] in (model, None)}
        assert {reason.need for reason in verdict.reasons} == set(stored)
        for reason in verdict.reasons:
            figure, fix, risk = stored[reason.need]
            assert (reason.fix, reason.risk) == (fix, risk)
            assert isinstance(reason.found, str) or reason.found == figure
        assert verdict.ready == (customer == "acme" or model in RULES)


def test_the_figures_are_those_that_a_training_sees(acme: TestHome) -> None:
    """Users, positives and negatives of the verdict are the rows that the model is tested on."""
    place = opened(acme)
    spec = STAGES.model("purchase_propensity")
    reader = ExampleReader(place.lake, STAGES, place.customer("acme"), spec)
    report = acme.report("acme", "purchase_propensity")
    test_moment = datetime.fromisoformat(report["test_moment"])
    users = reader.columns(test_moment)
    window = Window(test_moment, test_moment + timedelta(days=report["horizon_days"]))
    (outcomes,) = reader.outcomes_in([window], [users.index])
    rows = place.lake.arrow("acme", "validation/evidence").to_pylist()
    measures = {row["measure"]: row["value"] for row in rows if row["model"] == "purchase_propensity"}
    assert measures["users"] == len(users) == report["examples"]["test"]
    assert measures["positives"] == int(outcomes["bought"].sum())
    assert measures["negatives"] == int((outcomes["bought"] == 0).sum())
    assert measures["past_horizons"] == len(report["train_moments"]) + 1


def test_the_customers_own_parameters_hold_for_its_needs() -> None:
    declared = ("bills",)
    own = STAGES.of_customer(declared, {"purchase_propensity": {"horizon_days": 14}, "rfm_segments": {"moments": "x"}})
    needs = own.tables["validation/evidence"].function.keywords["needs"]  # type: ignore[union-attr]
    assert needs["purchase_propensity"].horizon_days == 14
    # What a model refuses is its training's to say.
    assert needs["rfm_segments"] == STAGES.model("rfm_segments").requirements()
    default = STAGES.tables["validation/evidence"].function.keywords["needs"]  # type: ignore[union-attr]
    assert default["purchase_propensity"].horizon_days == 30


@pytest.fixture(scope="module")
def fleet(acme: TestHome, bills_only: TestHome, tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """The home of ``acme``; beside it ``young``, run elsewhere, and ``fresh``, onboarded and never run."""
    home = acme.copied(tmp_path_factory.mktemp("fleet") / "home")
    shutil.copytree(bills_only.root / "lake" / "young", home.root / "lake" / "young")
    (home.root / "customers" / "young.toml").write_text((bills_only.root / "customers" / "young.toml").read_text())
    brand = tiny("fresh", seed=4, users=20, days=70, sends=("bills",))
    home.ok("onboard", str(write(simulate(brand), home.root.parent / "files", settings={"only_models": MODELS})))
    return home


def drawn(home: TestHome) -> dict[str, Any]:
    """The metadata of the picture, materialized as in the web page."""
    place = Home.of(home.root, {})
    with own_environment(), dagster_instance(place) as instance:
        defs = dg.Definitions(
            assets=[fleet_asset(STAGES, partial(deployment, STAGES, SOURCES))],
            resources={"pyspark": Engine(engine="sail")},
            executor=dg.in_process_executor,
        )
        assert draw_fleet(defs, instance)
        event = instance.get_latest_materialization_event(dg.AssetKey(["fleet", "readiness"]))
        assert event is not None
        assert event.asset_materialization is not None
        return dict(event.asset_materialization.metadata)


def test_the_picture_of_real_homes(fleet: TestHome) -> None:
    metadata = drawn(fleet)
    counts = {name: metadata[name].value for name in ("ready", "at_risk", "not_ready", "unknown", "customers")}
    assert counts["customers"] == 3
    assert counts["ready"] + counts["at_risk"] == len(MODELS) + len(RULES)
    assert (counts["not_ready"], counts["unknown"]) == (len(MODELS) - len(RULES), len(MODELS))
    file = Path(metadata["plot_file"].value)
    assert file == fleet.root / "fleet" / "readiness.png"
    assert file.stat().st_size <= LARGEST_BYTES
    assert "data:image/png;base64" in metadata["plot"].value
    colours = {colour for _, colour in Image.open(file).convert("RGB").getcolors(1 << 20)}
    for state in ("not ready", "unknown"):
        wanted = tuple(bytes.fromhex(LOOKS[state][0][1:]))
        assert any(max(abs(a - b) for a, b in zip(wanted, colour, strict=True)) < 12 for colour in colours), state
    rows = list(csv.DictReader(io.StringIO((fleet.root / "fleet" / "readiness.csv").read_text())))
    assert len(rows) == 3 * len(STAGES.models)
    assert metadata["off"].value == 3 * (len(STAGES.models) - len(MODELS))
    young = {row["model"]: row for row in rows if row["customer"] == "young"}
    assert "needs 90 days of bills" in young["purchase_propensity"]["reason"]
    table = metadata["matrix"].records
    assert [record.data["customer"] for record in table] == ["acme", "fresh", "young"]
    assert list((fleet.root / "lake").iterdir()) == [path for path in (fleet.root / "lake").iterdir() if path.is_dir()]
    assert not (fleet.root / "lake" / "fleet").exists(), "a prefix of the lake belongs to a customer"


def test_a_table_that_cannot_be_read_is_one_customers_matter(fleet: TestHome, tmp_path: Path) -> None:
    copy = fleet.copied(tmp_path / "home")
    for file in (copy.root / "lake/young/validation/readiness/_delta_log").glob("*.json"):
        file.write_text("no log")
    place = opened(copy)
    with own_environment(), dagster_instance(Home.of(copy.root, {})) as instance:
        by_pair = {(one.customer, one.model): one for one in matrix(place, instance, AS_OF)}
    assert by_pair["young", MODELS[0]].readiness == "unknown"
    assert "is damaged" in by_pair["young", MODELS[0]].reasons[0]
    assert by_pair["acme", MODELS[0]].readiness == "ready"


def test_a_customer_whose_folder_is_a_link_is_one_customers_matter(fleet: TestHome, tmp_path: Path) -> None:
    copy = fleet.copied(tmp_path / "home")
    (copy.root / "lake/young").rename(tmp_path / "elsewhere")
    (copy.root / "lake/young").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    place = opened(copy)
    with own_environment(), dagster_instance(Home.of(copy.root, {})) as instance:
        by_pair = {(one.customer, one.model): one for one in matrix(place, instance, AS_OF)}
    assert "symbolic link" in by_pair["young", MODELS[0]].reasons[0]
    assert by_pair["acme", MODELS[0]].readiness == "ready"


def test_a_customer_that_cannot_have_the_table_is_not_ready(fleet: TestHome) -> None:
    unready = standings(opened(fleet).lake, "fresh", MODELS, {}, "it is made of clean/bills, which is not there", AS_OF)
    assert {one.readiness for one in unready} == {"not ready"}
    assert unready[0].reasons == ("it is made of clean/bills, which is not there",)


def test_a_large_fleet_stays_small_and_legible() -> None:
    states = ("ready", "at risk", "not ready", "unknown")
    large_fleet = [
        Standing(f"shop-{n:03}", f"model_{m:02}", states[(n * 7 + m * 3 + n * m) % 4])
        for n in range(500)
        for m in range(30)
    ]
    figure = heat_map(large_fleet)
    (axes,) = figure.axes
    assert len(axes.get_yticks()) == MOST_DRAWN
    assert f"{MOST_DRAWN} customers that lack most" in axes.get_title(loc="left")
    assert len(png(figure)) <= LARGEST_BYTES
    assert png(heat_map([]))


def test_status_prints_the_matrix_first(fleet: TestHome) -> None:
    said = fleet.ok("status")
    lines = said.splitlines()
    assert "readiness" in lines[0]
    table = [[cell.strip() for cell in line.strip("│┃").split("│" if "│" in line else "┃")] for line in lines[2:40]]
    assert table[0] == ["model", "acme", "fresh", "young"]
    standings = {row[0]: dict(zip(table[0][1:], row[1:], strict=True)) for row in table if row[0] in STAGES.models}
    assert set(standings) == set(STAGES.models)
    of_models = {name: [standings[model][name] for model in MODELS] for name in table[0][1:]}
    assert {words for model in set(STAGES.models) - set(MODELS) for words in standings[model].values()} == {"· off"}
    assert set(of_models["acme"]) <= {"✓ ready", "! at risk"}
    assert of_models["young"].count("✗ not ready") == len(MODELS) - len(RULES)
    assert of_models["young"].count("✓ ready") == len(RULES)
    assert of_models["fresh"] == ["? unknown"] * len(MODELS)
    assert any(line.startswith("young ") and "rfm_segments: not judged yet: needs 180 days" in line for line in lines)
    assert any(line.startswith("young ") and "purchase_propensity: needs 90 days of bills" in line for line in lines)
    assert "fresh all models: not looked at yet: capflow run fresh" in said
    assert "roc_auc" not in said
    details = fleet.ok("status", "--details")
    assert details.startswith(said.split("└")[0])
    assert "roc_auc" in details


def test_status_for_programs_keeps_its_columns_and_adds_readiness(fleet: TestHome) -> None:
    rows = json.loads(fleet.ok("status", "--format", "json"))
    assert [*rows[0]][:4] == ["customer", "model", "status", "champion"]
    assert [*rows[0]][-5:] == ["readiness", "readiness_reason", "answers", "broken", "removed"]
    young = {row["model"]: row for row in rows if row["customer"] == "young"}
    assert young["purchase_propensity"]["readiness"] == "not ready"
    header = fleet.ok("status", "--format", "csv").splitlines()[0].split(",")
    assert header == [*rows[0]]


def standings_of(customers: int, models: int) -> list[dict[str, Any]]:
    states = (("ready", ""), ("at risk", "thin; also old"), ("not ready", "thin"))
    return [
        {"customer": f"[shop {place}]", "model": f"model_{n:02}", "readiness": state, "readiness_reason": reason}
        for place in range(customers)
        for n in range(models)
        for state, reason in (states[n % 3],)
    ]


def test_of_many_models_each_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_matrix(standings_of(customers=1, models=9))
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("│ model_")]
    assert [line.split()[3] for line in lines] == ["✓", "!", "✗"] * 3
    assert "[shop 0] model_01, model_02, model_04, model_05, model_07, model_08: thin" in said.replace("\n", " ")
    print_matrix([])
    assert "no customers yet" in capsys.readouterr().out


def test_of_many_models_and_customers_each_customer_has_a_row_of_signs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_matrix(standings_of(customers=12, models=9))
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("│ [shop")]
    assert len(lines) == 12
    assert {line.split("│")[2].strip() for line in lines} == {"✓!✗✓! ✗✓!✗"}
    assert "models: 1 model_00, 2 model_01," in said
    assert max(len(line) for line in said.splitlines() if not line.startswith("[shop")) <= 80


def test_exceptions_are_named_rather_than_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row | {"readiness": "at risk", "readiness_reason": "late"} for row in standings_of(1, 9)]
    rows[4] |= {"readiness": "ready", "readiness_reason": ""}
    print_matrix(rows)
    assert "[shop 0] all models but model_04: late" in capsys.readouterr().out


def test_a_training_that_is_not_ready_says_what_the_table_says(bills_only: TestHome) -> None:
    status = bills_only.status("young")
    for entry in (status[model] for model in MODELS if model not in RULES):
        assert entry["readiness"] == "not ready"
        if entry["rung"] == "rule":
            assert entry["status"] == "promoted"
            assert entry["reason"].endswith(f"not judged yet: {entry['readiness_reason'].replace('; also ', '; ')}")
            continue
        assert entry["status"] == "not ready"
        if entry["reason"].startswith("not ready: needs "):  # tables that the customer cannot have are named alone
            tables = entry["reason"].removeprefix("not ready: needs ").split(", which")[0].split(", ")
            assert all(f"needs table {table}" in entry["readiness_reason"] for table in tables)
        else:
            assert entry["reason"] == entry["readiness_reason"].replace("; also ", "; ")


def test_the_picture_is_drawn_where_it_is_asked_for(acme_copy: TestHome) -> None:
    assert not (acme_copy.root / "fleet").exists(), "a customer's run reads nothing of the others"
    acme_copy.ok("run", "acme", "--select", "fleet/readiness")
    assert (acme_copy.root / "fleet" / "readiness.png").read_bytes().startswith(b"\x89PNG")
