"""The parts of one customer: in which order they may be taken, and what is lost with one of them."""

from __future__ import annotations

from collections.abc import Sequence

from capflow_assets.definitions import STAGES
from capflow_assets.graph.customer_work import DELIVERIES, TABLES, CustomerWork, parts_of
from capflow_assets.graph.failures import AssetFailure
from capflow_assets.graph.launch import Finished, Warned

MODEL_STAGES = ("models", "predictions", "health", "delivery")
NAMES = ("churn", "rfm_segments", "channel_affinity", "next_best_action")


def keys_of(names: Sequence[str], tables: Sequence[str] = ("clean/bills", "features/rfm")) -> list[str]:
    return [*tables, *(f"{stage}/{name}" for name in names for stage in MODEL_STAGES)]


def work_of(
    keys: Sequence[str], seconds: dict[str, float] | None = None, *, is_delivered: bool = False
) -> CustomerWork:
    return CustomerWork(STAGES, Finished("ann"), parts_of(STAGES, keys, seconds, is_delivered=is_delivered))


def names_taken(work: CustomerWork) -> list[str]:
    """The parts that may be under way at once now."""
    taken = []
    while (part := work.take()) is not None:
        taken.append(part.name)
    return taken


def ended(work: CustomerWork, *names: str) -> None:
    for part in parts_of(STAGES, keys_of(NAMES)):
        if part.name in names:
            work.end(part)


def test_tables_come_first_and_a_model_that_reads_others_after_them() -> None:
    work = work_of(keys_of(NAMES))
    assert names_taken(work) == [TABLES]
    ended(work, TABLES)
    assert names_taken(work) == ["channel_affinity", "churn", "rfm_segments"]
    ended(work, "rfm_segments", "churn")
    assert names_taken(work) == [], "next_best_action reads channel_affinity as well"
    ended(work, "channel_affinity")
    assert names_taken(work) == ["next_best_action"]
    ended(work, "next_best_action")
    assert work.is_over


def test_what_others_wait_for_goes_first_and_then_what_takes_longest() -> None:
    names = ("send_time", "rfm_segments", "churn", "next_best_action")
    work = work_of(keys_of(names, ()), {"models/rfm_segments": 30.0, "health/send_time": 2.0, "models/churn": 1.0})
    assert names_taken(work) == ["churn", "rfm_segments", "send_time"]
    alone = work_of(keys_of(names[:2], ()))
    assert sorted(names_taken(alone)) == ["rfm_segments", "send_time"], "models alone wait for no tables"


def test_the_order_of_assets_stays_whoever_is_first() -> None:
    keys = keys_of(NAMES[:2])
    work = work_of(keys)
    work.finished.done |= {key: {} for key in reversed(keys)}
    work.finished.warnings += [Warned("models/rfm_segments", "ready", "."), Warned("clean/bills", "fresh", ".")]
    merged = work.merged(keys)
    assert list(merged.done) == keys
    assert [warned.key for warned in merged.warnings] == ["clean/bills", "models/rfm_segments"]


def test_what_is_made_of_a_failed_asset_fails_and_the_others_go_on() -> None:
    work = work_of(keys_of(NAMES))
    tables = work.take()
    assert tables is not None
    work.end(tables)
    names = names_taken(work)
    work.finished.failures["models/churn"] = AssetFailure("ann", "models/churn", "it broke")
    ended(work, *names)
    assert work.take() is None
    assert work.is_over
    failure = work.finished.failures["predictions/next_best_action"]
    assert failure.consequence_of == ("models/churn",)
    assert list(work.finished.root_causes) == ["models/churn"]


def test_the_tables_cost_the_customer_and_a_model_itself() -> None:
    keys = keys_of(NAMES[:2])
    work = work_of(keys)
    tables = work.take()
    assert tables is not None
    assert work.keys_with(tables) == [*parts_of(STAGES, keys)[0].keys, *keys_of(NAMES[:2], ())]
    work.lose(tables, Finished("ann"))
    work.end(tables)
    assert work.is_over
    models = work_of(keys_of(NAMES[:2], ()))
    churn = next(part for part in iter(models.take, None) if part.name == "churn")
    assert models.keys_with(churn) == keys_of(["churn"], ())
    models.fail(churn, "no Dagster")
    models.end(churn)
    assert models.finished.root_causes == {"models/churn": "no Dagster"}
    assert set(models.finished.failures) == set(keys_of(["churn"], ()))


def test_a_customer_that_failed_as_a_whole_goes_no_further() -> None:
    work = work_of(keys_of(NAMES))
    tables = work.take()
    assert tables is not None
    work.fail(tables, "its TOML is broken")
    work.end(tables)
    assert work.is_over
    assert work.finished.root_causes == {"customer": "its TOML is broken"}


def test_where_there_are_destinations_all_is_delivered_at_last_and_in_one_place() -> None:
    work = work_of(keys_of(NAMES[:2], ()), is_delivered=True)
    names = names_taken(work)
    assert sorted(names) == ["churn", "rfm_segments"]
    # A training that failed holds back no answers of the champion; answers that failed are not sent.
    work.finished.failures["models/churn"] = AssetFailure("ann", "models/churn", "it broke")
    work.finished.failures["predictions/rfm_segments"] = AssetFailure("ann", "predictions/rfm_segments", "it broke")
    ended(work, *names)
    delivered = work.take()
    assert delivered is not None
    assert (delivered.name, delivered.keys) == (DELIVERIES, ("delivery/churn",))
    assert work.finished.failures["delivery/rfm_segments"].consequence_of == ("predictions/rfm_segments",)
