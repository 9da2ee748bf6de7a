"""Who starts and why the others wait: cases small enough to be decided by hand."""

from __future__ import annotations

from math import inf

from capflow_assets.nights.admission import IN_LINE, MEMORY, NO_CAPACITY, OWN_JOB, OWN_RUN, TOO_LARGE, Admission, admit
from capflow_assets.nights.job_costs import Cost, History
from capflow_assets.nights.jobs import Job, Pool, Running

NOON = 1_700_000_000.0
HOUR = 3600.0


def job(name: str, since: float = NOON, deadline: float = inf, place: int = -1, kind: str = "tables") -> Job:
    return Job(f"{name}/{kind}", name, kind, "local", since, deadline, "footwear", place)


def history(usage: dict[str, float] | None = None, startup: float = 0.0, **costs: tuple[float, float]) -> History:
    own = {(name, "tables"): Cost(*figures) for name, figures in costs.items()}
    return History(own=own, usage=usage or {}, startup_seconds=startup)


def started(admission: Admission) -> list[str]:
    return ["+".join(job.customer for job in start.jobs) for start in admission.starts]


def waiting(admission: Admission) -> dict[str, tuple[str, float]]:
    return {wait.job.key: (wait.reason, wait.until) for wait in admission.waits}


def test_who_had_least_goes_first_and_the_next_one_is_told_until_when_it_waits() -> None:
    others = [f"other{number}" for number in range(40)]
    names = ["ann", "bob", "cid", *others]
    usage = {"ann": 900.0, "bob": 100.0, "cid": 500.0} | dict.fromkeys(others, 10_000.0)
    known = history(usage, **dict.fromkeys(names, (60.0, 1.0)))
    admission = admit([job(name) for name in names], [], {"local": Pool(2)}, known, NOON)
    assert started(admission) == ["bob", "cid"]
    assert waiting(admission)["ann/tables"] == (IN_LINE, NOON + 60)


def test_a_deadline_that_is_near_goes_before_a_fair_share() -> None:
    known = history({"ann": 9000}, ann=(600, 1), bob=(600, 1))
    jobs = [job("bob"), job("ann", deadline=NOON + 1200)]
    assert started(admit(jobs, [], {"local": Pool(1)}, known, NOON)) == ["ann"]


def test_after_four_hours_nobody_who_came_later_goes_first() -> None:
    known = history({"ann": 90_000}, ann=(60, 1), bob=(60, 1))
    jobs = [job("bob", NOON - 1, NOON + 60), job("ann", NOON - 4 * HOUR)]
    assert started(admit(jobs, [], {"local": Pool(1)}, known, NOON)) == ["ann"]


def test_one_run_at_a_time_for_each_customer() -> None:
    known = history(ann=(60, 1))
    run = Running("x", ("ann",), "local", NOON - 20, 60, 1)
    admission = admit([job("ann")], [run], {"local": Pool(4)}, known, NOON)
    assert started(admission) == []
    assert waiting(admission) == {"ann/tables": (OWN_RUN, NOON + 40)}
    both = admit([job("ann"), job("ann", NOON + 1, kind="scoring")], [], {"local": Pool(4)}, known, NOON + 2)
    assert started(both) == ["ann"]
    assert waiting(both) == {"ann/scoring": (OWN_JOB, NOON + 62)}


def test_a_capacity_of_nothing_and_a_job_that_is_too_large_say_so() -> None:
    known = history(ann=(60, 30))
    assert waiting(admit([job("ann")], [], {"local": Pool(0)}, known, NOON)) == {"ann/tables": (NO_CAPACITY, inf)}
    assert waiting(admit([job("ann")], [], {}, known, NOON)) == {"ann/tables": (NO_CAPACITY, inf)}
    admission = admit([job("ann"), job("bob")], [], {"local": Pool(1, 24)}, known, NOON)
    assert started(admission) == ["bob"]
    assert [wait.words() for wait in admission.waits] == ["it needs 30.0 GiB and the pool local has 24.0"]
    assert admission.waits[0].reason == TOO_LARGE


def test_a_large_job_keeps_its_place_before_small_ones_that_would_delay_it() -> None:
    """20 of 24 GiB are free when the run ends in 100 s; who ends by then may go first, who does not may not."""
    run = Running("x", ("zoe",), "local", NOON, 100, 10)
    known = history({"big": 0, "long": 1, "brief": 2}, big=(500, 20), long=(300, 6), brief=(90, 6))
    admission = admit([job("big"), job("long"), job("brief")], [run], {"local": Pool(4, 24)}, known, NOON)
    assert started(admission) == ["brief"]
    assert waiting(admission)["big/tables"] == (MEMORY, NOON + 100)
    assert waiting(admission)["long/tables"][0] == IN_LINE


def test_a_small_job_that_leaves_the_large_one_its_room_may_start() -> None:
    run = Running("x", ("zoe",), "local", NOON, 100, 10)
    known = history({"big": 0, "long": 1}, big=(500, 20), long=(300, 4))
    assert started(admit([job("big"), job("long")], [run], {"local": Pool(4, 24)}, known, NOON)) == ["long"]


def test_neighbours_share_a_run_until_its_start_is_a_tenth_of_it() -> None:
    """Start-up takes 10 s, so nine jobs of 10 s fill a run: 90 of 100 s are work."""
    names = [f"c{number:03}" for number in range(180)]
    known = history(startup=10, **dict.fromkeys(names, (10.0, 1.0)))
    jobs = [job(name, place=place) for place, name in enumerate(names)]
    admission = admit(jobs, [], {"local": Pool(2)}, known, NOON)
    assert [len(start.jobs) for start in admission.starts] == [9, 9]
    assert {start.seconds for start in admission.starts} == {100.0}
    assert [start.jobs[0].place for start in admission.starts] == [0, 9]


def test_few_jobs_are_spread_rather_than_put_into_one_run() -> None:
    names = ["ann", "bob", "cid", "dan"]
    known = history(startup=10, **dict.fromkeys(names, (10.0, 1.0)))
    jobs = [job(name, place=place) for place, name in enumerate(names)]
    assert [len(start.jobs) for start in admit(jobs, [], {"local": Pool(4)}, known, NOON).starts] == [1, 1, 1, 1]


def test_a_run_that_never_ends_delays_the_moment_and_says_nothing_certain() -> None:
    """It should have taken a minute and is ten hours old: five more are expected, and its slot is not counted on."""
    run = Running("x", ("zoe",), "local", NOON - 10 * HOUR, 60, 1)
    admission = admit([job("ann")], [run], {"local": Pool(1)}, history(ann=(60, 1)), NOON)
    assert waiting(admission) == {"ann/tables": (IN_LINE, NOON + 5 * HOUR)}


def test_pools_do_not_wait_for_each_other() -> None:
    known = history(ann=(60, 1), bob=(60, 1))
    jobs = [job("ann"), job("bob")._replace(pool="gpu")]
    run = Running("x", ("zoe",), "local", NOON, 60, 1)
    assert started(admit(jobs, [run], {"local": Pool(1), "gpu": Pool(1)}, known, NOON)) == ["bob"]


def test_what_is_assumed_is_marked() -> None:
    assert admit([job("new")], [], {"local": Pool(1)}, history(), NOON).starts[0].is_assumed
    assert not admit([job("ann")], [], {"local": Pool(1)}, history(ann=(60, 1)), NOON).starts[0].is_assumed
