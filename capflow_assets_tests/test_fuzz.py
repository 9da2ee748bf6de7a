"""A thousand things that a customer could send: no traceback, no row that vanishes, no other customer that changes."""

from __future__ import annotations

import os
import re
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import deployment
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.graph.status import counts
from capflow_assets.home.places import Home
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.runner import TableRunner
from capflow_assets_doubles.homes import Said, TestHome, own_environment
from capflow_assets_tests.fuzz import BYSTANDER, HEADER, SECRET, dumped, good, tomls
from capflow_assets_tests.fuzz_files import Sent, files

SEED = int(os.environ.get("CAPFLOW_FUZZ_SEED", "1"))
TIMES = float(os.environ.get("CAPFLOW_FUZZ_TIMES", "1"))
# How many of the thousand: a part of them in every run of the tests, all of them in that of the large counts.
SHARES = [pytest.param(0.2, id="some"), pytest.param(1.0, id="all", marks=pytest.mark.long)]
# Eighty TOML texts have every way of spoiling one, six times and more; files need the double for theirs.
SHARES_OF_TOMLS = [pytest.param(0.1, id="some"), SHARES[1]]
LABEL = re.compile(r"(Expected|Came|Where|To do): ")


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def outcome_of(home: TestHome, *arguments: str) -> Said:
    """What a person sees of a command; an error that gets through is the traceback that it would be."""
    try:
        return home.capflow(*arguments)
    except Exception:
        lines = traceback.format_exc().splitlines()
        ours = [line.strip() for line in lines if "capflow_assets/" in line]
        return Said(2, "", f"Traceback {lines[-1][:300]} {ours[-1:]}")


def trouble(said: Said) -> str:
    """What a person would rightly complain of in the words of a command; blank if nothing."""
    text = said.out + said.err
    if said.code not in (0, 1):
        return f"ended with {said.code}: {text[-300:]}"
    if "Traceback" in text or re.search(r"^\w*(Error|Exception)\b: ", text, re.MULTILINE):
        return f"a traceback: {text[-600:]}"
    if SECRET in text:
        return "the secret is shown"
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        return f"control characters: {text[:300]!r}"
    if len(text) > 20_000:
        return f"{len(text):,} characters"
    return ""


def unlike(message: str) -> str:
    """How a message differs from the form of a CapflowError: what, then lines of what was expected, came, where."""
    first, *rest = message.rstrip("\n").split("\n")
    if not re.search(r"[.]$", first):
        return f"begins with {first[:200]!r}"
    others = [line for line in rest if not re.match(r"  +\S", line)]
    return f"has the line {others[0][:200]!r}" if others else "" if LABEL.search(message) else f"says only {first!r}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a bystander in it."""
    home = TestHome(tmp_path_factory.mktemp("fuzz") / "home")
    folder = home.root.parent / BYSTANDER
    folder.mkdir()
    settings = good(BYSTANDER)
    del settings["tables"]["items"], settings["tables"]["bills"]["options"]
    (folder / "bystander.toml").write_bytes(dumped(settings))
    rows = [f"b{n},u{n % 5},2024-05-{1 + n % 28:02} 10:00:00,{n}.5" for n in range(60)]
    (folder / "bills.csv").write_text("\n".join([",".join(HEADER), *rows]) + "\n")
    home.ok("onboard", str(folder / "bystander.toml"))
    home.ok("run", BYSTANDER, "--select", "raw/bills,clean/bills")
    return home


@pytest.mark.parametrize("share", SHARES_OF_TOMLS)
def test_no_toml_is_answered_with_a_traceback(home, tmp_path, share):
    (tmp_path / "link").symlink_to(home.root / "lake")
    places = {"lake": f"{home.root}/lake/{BYSTANDER}", "home": str(home.root), "link": f"{tmp_path}/link/{BYSTANDER}",
              "customers": f"{home.root}/customers"}  # fmt: skip
    theirs, listed = files_below(home.root / "lake"), home.root / "customers" / f"{BYSTANDER}.toml"
    complaints, codes = [], []
    before = listed.read_bytes()
    for number, (description, content) in enumerate(tomls(SEED, int(800 * share * TIMES), places)):
        # Each has a folder of its own: what one customer's TOML names, another's may not.
        toml = tmp_path / str(number) / "customer.toml"
        toml.parent.mkdir()
        toml.write_bytes(content)
        said = outcome_of(home, "onboard", str(toml))
        problem = trouble(said) or (unlike(said.err) if said.code else "")
        codes.append(said.code)
        if problem:
            complaints.append(f"{description}\n    {problem}")
    assert complaints == []
    assert 0.05 < codes.count(0) / len(codes) < 0.6, "most are wrong, some are right: else the maker is"
    assert (files_below(home.root / "lake"), listed.read_bytes()) == (theirs, before)


COHORT = 10
# A run's events cost four times what a small file does, so one customer in eight is run by the command.
BY_COMMAND = 8


@dataclass
class Taken:
    """What became of the files: why a customer was refused, blank if not, and the counts of those that landed."""

    why: dict[str, str] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


@pytest.mark.parametrize("share", SHARES)
def test_no_row_of_a_file_vanishes_and_no_file_stops_the_others(home, tmp_path, share):
    theirs = files_below(home.root / "lake" / BYSTANDER)
    deliveries = files(SEED, int(200 * share * TIMES), f"{home.root}/lake/{BYSTANDER}")
    sent, taken = {f"s{number}": delivery for number, delivery in enumerate(deliveries)}, Taken()
    names = [name for name in sent if onboarded_with(home, tmp_path / name, name, sent[name], taken)]
    commanded = names[::BY_COMMAND]
    for first in range(0, len(commanded), COHORT):
        run_by_command(home, commanded[first : first + COHORT], taken)
    run_in_process(home, [name for name in names if name not in commanded], taken)
    problems = {f"{name} {delivery.label}": misdone(home, name, delivery, taken) for name, delivery in sent.items()}
    assert {name: problem for name, problem in problems.items() if problem} == {}
    assert 0.3 < len(taken.counts) / len(sent) < 0.9
    assert files_below(home.root / "lake" / BYSTANDER) == theirs
    assert home.capflow("run", BYSTANDER, "--select", "raw/bills").code == 0


def run_by_command(home: TestHome, names: list[str], taken: Taken) -> None:
    # One process: each more imports everything, longer than it lands these.
    said = outcome_of(home, "run", *names, "--select", "raw/bills", "--processes", "1")
    taken.why |= by_customer(said, names)
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        taken.counts |= {name: counts(instance, "raw/bills", name) for name in names if not taken.why[name]}


def run_in_process(home: TestHome, names: list[str], taken: Taken) -> None:
    """What the step of the graph does, without its events."""
    with own_environment():
        deployed = deployment(STAGES, SOURCES, home=Home.of(home.root))
        for name in names:
            runner = TableRunner(
                lake=deployed.lake,
                stages=STAGES,
                sources=SOURCES,
                customer=deployed.customer(name),
                selected=frozenset({"raw/bills"}),
            )
            (result,) = runner.run()
            taken.why[name] = result.reason if result.status != "done" else ""
            if result.status == "done":
                taken.counts[name] = dict(result.counts)


def onboarded_with(home: TestHome, folder: Path, name: str, sent: Sent, taken: Taken) -> bool:
    """Write the customer's files and bring the customer in; what is said against it is told."""
    for path, content in sent.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    toml = folder / "customer.toml"
    toml.write_bytes(dumped(sent.toml(name)))
    said = outcome_of(home, "onboard", str(toml))
    if said.code:
        taken.why[name] = trouble(said) or unlike(said.err) or "refused"
    return said.code == 0


def by_customer(said: Said, names: list[str]) -> dict[str, str]:
    """What a run of several says of each: blank where it is done, else the reason."""
    if problem := trouble(said):
        return dict.fromkeys(names, problem)
    blocks = re.split(r"^(?=[✓✗] )", said.err, flags=re.MULTILINE)[1:]
    by_name = {re.match(r"[✓✗] (\S+): ", block)[1]: block for block in blocks}
    return {name: "" if by_name[name][0] == "✓" else by_name[name].partition("raw/bills: ")[2] for name in names}


def misdone(home: TestHome, name: str, sent: Sent, taken: Taken) -> str:
    """What is wrong with how a customer's file was taken; blank if nothing."""
    why = taken.why[name]
    if why:
        has_good = not sent.is_hopeless and sent.rows is not None and sent.rejected is not None
        good = sent.rows - sent.rejected if has_good else 0
        strange = trouble(Said(1, "", why)) or ("" if why == "refused" else unlike(why))
        return strange or (f"refused though {good} rows can land: {why}" if good else "")
    if sent.is_hopeless:
        return "taken"
    counted, lake = taken.counts[name], Lake(f"{home.root}/lake", None)
    landed = lake.rows(name, "raw/bills")
    aside = lake.rows(name, "raw/bills_rejected") if lake.exists(name, "raw/bills_rejected") else 0
    if counted["came"] != landed + aside or counted.get("rejected", 0) != aside:
        return f"{counted}, but {landed} landed and {aside} are set aside"
    if sent.rows is not None and (counted["came"], aside) != (sent.rows, sent.rejected):
        return f"{sent.rows} came and {sent.rejected} cannot land; {counted}"
    return ""
