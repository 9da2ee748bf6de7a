"""How a customer comes in: by the CLI, or as a TOML file dropped into the home's customers folder."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from math import inf
from pathlib import Path

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.checks_settings import verticals
from capflow_assets.customers.customer import Customer, onboarded_text
from capflow_assets.customers.onboarding_problems import vertical_note
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, CustomerError
from capflow_assets.graph.customer_files import evaluation
from capflow_assets.graph.model_assets import PARTS
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.home import fences
from capflow_assets.processes.customer_lock import customer_lock

# A tick that takes more than 60 seconds is lost, and its cursor with it: the files that are left are the next tick's.
SECONDS_A_TICK = 4.0


def onboard(
    deployment: Deployment,
    instance: dg.DagsterInstance,
    file: Path,
    replace: bool = False,
    wait: float | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Customer:
    """Check a customer's TOML, copy it into the home and add the partition.

    A customer that is new, or of whom there is another TOML, is brought in once nobody else writes its tables or
    retires it; that is waited for.

    Raises:
        CustomerError: the TOML is wrong, or another customer of that name is here already.
        InUseError: somebody else writes the customer for longer than ``wait`` seconds.
    """
    customer = deployment.read(file, is_new=True)
    fences.refuse(deployment.home, customer, file)
    text = onboarded_text(file.read_text(encoding="utf-8"), str(file.resolve().parent))
    target = deployment.home.customers / f"{customer.name}.toml"
    _refuse_another(customer.name, target, text, file, replace)
    lock = customer_lock(deployment.home, customer.name, "capflow onboard", wait, say)
    # One that is as it was is not waited for: nothing of it changes.
    with nullcontext() if _is_there(target, text) else lock:
        # Others may have brought in a customer of that name meanwhile, or taken it away.
        _refuse_another(customer.name, target, text, file, replace)
        before = target.stat() if target.exists() else None
        if not _is_there(target, text):
            write_atomically(target, text)
        if before is not None:  # who was here first stays so
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        instance.add_dynamic_partitions(str(CUSTOMERS.name), [customer.name])
    if note := vertical_note(customer.vertical, verticals()):
        say(note)
    return customer


def _is_there(target: Path, text: str) -> bool:
    return target.exists() and target.read_text(encoding="utf-8") == text


def _refuse_another(name: str, target: Path, text: str, file: Path, replace: bool) -> None:
    if target.exists() and not replace and not _is_there(target, text):
        raise CustomerError(
            f"There is a customer {name!r} already, with another TOML; it was left as it is",
            where=f"{file} and {target}",
            do="choose another name, or replace it on purpose: --replace",
        )


def write_atomically(target: Path, text: str) -> None:
    """A reader of ``target`` sees the old text or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(target)


def read_dropped(deployment: Deployment, file: Path) -> str:
    """The name of the customer that a dropped file declares.

    Raises:
        CustomerError: the TOML is wrong, or its file is not called after the customer.
    """
    customer = deployment.customer(file.stem, is_new=True)
    fences.refuse(deployment.home, customer, file, elders=True)
    return customer.name


def onboarding_sensor(deploy: Callable[[], Deployment], stages: Stages) -> dg.SensorDefinition:
    """The sensor that adds a partition for every good file in the folder, and says which it refused and why.

    It starts the first run of a customer whose TOML asks for that (``[onboarding] run = true``), once.
    """
    of_models = {name: [dg.AssetKey([part, name]) for part in PARTS] for name in stages.models}
    of_tables = [dg.AssetKey(key.split("/")) for key in stages.tables]

    @dg.sensor(
        name="onboarding",
        target=dg.AssetSelection.assets(*of_tables, *(key for keys in of_models.values() for key in keys)),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Adds a customer for each good TOML file in the home's customers folder; names the refused ones.",
    )
    def onboarding(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        deployment = deploy()
        seen: dict[str, list[str]] = json.loads(context.cursor or "{}")
        now, left = _looked_at(deployment, seen, time.monotonic() + SECONDS_A_TICK)
        good = [Path(name).stem for name, (_, refusal) in now.items() if not refusal and name not in left]
        known = set(context.instance.get_dynamic_partitions(str(CUSTOMERS.name)))
        new = [name for name in good if name not in known]
        first_runs = []
        for name in new:
            customer = deployment.customer(name)
            if customer.onboarding.run:
                had = [key for model, keys in of_models.items() if customer.has_model(model) for key in keys]
                run_key = f"first run of {name}, {now[f'{name}.toml'][0]}"
                first_runs.append(dg.RunRequest(run_key, partition_key=name, asset_selection=[*of_tables, *had]))
        refusals = {name: refusal for name, (_, refusal) in now.items() if refusal}
        has_changed = refusals != {name: refusal for name, (_, refusal) in seen.items() if refusal}
        refused = [f"refused {name}: {refusal}" for name, refusal in refusals.items()]
        for line in refused:
            context.log.warning(line)
        return dg.SensorResult(
            dynamic_partitions_requests=[CUSTOMERS.build_add_request(new)] if new else [],
            run_requests=first_runs,
            cursor=json.dumps(now),
            asset_events=[evaluation(refusals)] if has_changed else [],
            # A tick with runs has no reason to skip; the log names what was refused, and so does the next tick.
            skip_reason=None if first_runs or (new and not refused) else "\n".join(refused) or _nothing(left),
        )

    return onboarding


def _looked_at(
    deployment: Deployment, seen: Mapping[str, list[str]], until: float
) -> tuple[dict[str, list[str]], set[str]]:
    """The digest and the refusal of each file, read anew where it has changed; and those for which no time was left.

    Of these stands what was seen before, if anything, so that the next tick reads them. What was refused is read anew
    as well, after the others: the reason may lie in another customer's TOML.
    """
    now: dict[str, list[str]] = {}
    left: set[str] = set()
    is_late = False
    digests = {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in deployment.home.customers.glob("*.toml")}
    is_known = {file: file.name in seen and seen[file.name][0] == digest for file, digest in digests.items()}
    for file in sorted(digests, key=lambda file: (is_known[file], file)):
        digest, before = digests[file], seen.get(file.name)
        if before and is_known[file] and (is_late or not before[1]):
            now[file.name] = before
        elif is_late:
            left.add(file.name)
            now |= {file.name: before} if before else {}
        else:
            now[file.name] = [digest, _refusal(deployment, file)]
            is_late = time.monotonic() > until  # asked after each, so that every tick comes further
    return dict(sorted(now.items())), left


def _nothing(left: Collection[str]) -> str:
    return f"{len(left):,} files are left to the next tick" if left else "no new customer"


def refusals_in(deployment: Deployment, seen: dict[str, list[str]] | None = None) -> dict[str, str]:
    """Why each file of the customers' folder is refused of which no customer can come in.

    With ``seen``, which keeps what an earlier call found, only files that have changed since are read.
    """
    now, _ = _looked_at(deployment, seen or {}, inf)
    if seen is not None:
        seen.clear()
        seen.update(now)
    return {name: refusal for name, (_, refusal) in now.items() if refusal}


def _refusal(deployment: Deployment, file: Path) -> str:
    try:
        read_dropped(deployment, file)
    except CapflowError as error:
        return str(error)
    return ""
