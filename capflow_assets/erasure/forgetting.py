"""``capflow forget``: erases a user from every table and version, from pictures and records, and keeps them out.

The order lets an interrupted erasure be started again: the user and their bills go on the suppression list; the model
versions that learned from them are marked; destinations that their rows were delivered to are asked to delete them;
rows of nobody on their bills are deleted, then their own; then everything but the newest version of each table is
deleted, with plots and pages, which the next run draws again. The orchestrator's records stay, without the id. A
receipt says what was done, and names nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.erasure.erased_rows import Traces, UserRows
from capflow_assets.erasure.id_search import search
from capflow_assets.erasure.receipts import Receipt, begin_receipt, save_receipt, unsettled
from capflow_assets.erasure.redaction import Records
from capflow_assets.erasure.unknown_ids import strangers
from capflow_assets.errors import BrokenModelError, CapflowError, StoreError
from capflow_assets.expressions.ids import normal
from capflow_assets.home.keys import customer_key
from capflow_assets.landing.personal import OWNER
from capflow_assets.nights.ledger import Ledger
from capflow_assets.nights.withdrawal import TakenBack, arrived, erase
from capflow_assets.processes.customer_lock import customer_lock
from capflow_assets.stores.answer_store import ANSWERS
from capflow_assets.stores.answer_stores import answers_of
from capflow_assets.stores.erased_history import keep_newest_version, remove_old_objects
from capflow_assets.stores.lake import STAGING, Lake
from capflow_assets.stores.places import files_below, remove_folder
from capflow_assets.stores.shared_examples import SharedExamples
from capflow_assets.tables.suppression import digest, digests_of_user, remember

PICTURES = ("plots", "pages")
SHARED_EXAMPLES = "shared examples"
LEAST_CHARACTERS_TO_LOOK_FOR = 5


def forget(
    deployment: Deployment,
    records: Records,
    customer: str,
    users: Iterable[str],
    reason: str,
    anyway: bool = False,
    wait: float | None = None,
    say: Callable[[str], None] = lambda words: None,
    *,
    keep_out: bool = False,
) -> list[Receipt]:
    """Remove users of a customer; one receipt each, kept at ``{lake}/{customer}/receipts``.

    For a user of whom nothing is known, ``say`` gets a message and nothing is touched. With ``keep_out`` they get a
    receipt too, and will not land.

    Raises:
        NotFoundError: no such customer.
        CapflowError: a blank id; or a run of the customer has not ended, and not ``anyway``.
        TableError: rows of a table cannot be deleted. Forget the user again once it can be written.
        InUseError: somebody else writes the customer for longer than ``wait`` seconds.
    """
    ids = list(dict.fromkeys(map(normal, users)))
    if not all(ids):
        raise CapflowError("That is no user", expected="an id as it stands in raw/bills", came="blanks")
    deployment.require(customer)
    with customer_lock(deployment.home, customer, "capflow forget", wait, say):
        declared = deployment.customer(customer)  # it may be a `retire` that was waited for
        if not anyway:
            records.refuse_running(customer)
        key = customer_key(deployment.home, customer)
        rows = UserRows(deployment.lake, deployment.stages, declared, key)
        unknown = strangers(rows, ids)
        known = [user for user in ids if user not in unknown]
        receipts = _forget_held(deployment, records, declared, known, reason) if known else []
        if keep_out:
            return receipts + [_kept_out(deployment.lake, declared, key, user, reason) for user in unknown]
        for user in unknown:
            say(f"{customer} knows no user {user!r}, in no version of a table: nothing of theirs was touched; {_SEE}")
        return receipts


_SEE = "ids are written as the source sends them; --keep-out keeps one from ever landing"


def _kept_out(lake: Lake, declared: Customer, key: bytes, user: str, reason: str) -> Receipt:
    """Put a user who never landed on the suppression list; there is nothing else to do."""
    receipt = begin_receipt(declared.name, digest(key, "user", user), reason)
    remember(lake, declared.name, "user", digests_of_user(key, user, _is_hashed(declared)))
    save_receipt(lake, receipt)
    return receipt


def _forget_held(
    deployment: Deployment, records: Records, declared: Customer, users: list[str], reason: str
) -> list[Receipt]:
    customer = declared.name
    _refuse_hashes(declared, users)
    key = customer_key(deployment.home, customer)
    rows = UserRows(deployment.lake, deployment.stages, declared, key)
    before = {name: deployment.lake.version(customer, name) for name in rows.tables()}
    receipts = [_forget_rows(deployment, rows, key, user, reason) for user in users]
    files = _remove_files(deployment.lake, rows)
    after = {name: deployment.lake.version(customer, name) for name in before}
    for user, receipt in zip(users, receipts, strict=True):
        receipt.versions = {name: [old, after[name]] for name, old in before.items() if after[name] != old}
        receipt.files_removed = files
        ids = rows.known_as(user) if _is_hashed(declared) else [user]
        redacted = [records.redact(customer, spelling) for spelling in ids]
        receipt.records_redacted = {name: sum(counts[name] for counts in redacted) for name in redacted[0]}
        receipt.recomputed_at_the_next_run = _made_of(deployment, customer, receipt.rows_removed)
        receipt.remains += _remains(deployment, records, receipt, ids)
        save_receipt(deployment.lake, receipt)
    _remove_old_objects(deployment.lake, customer, receipts)
    return receipts


def _is_hashed(declared: Customer) -> bool:
    return any(OWNER in table.personal for table in declared.tables.values())


def _refuse_hashes(declared: Customer, users: list[str]) -> None:
    """Refuse hashes as the lake holds them: the user would be deleted and land again, since the source sends an id."""
    hashes = [user for user in users if re.fullmatch("[0-9a-f]{64}", user)]
    if hashes and _is_hashed(declared):
        expected = f"an id as the source of {declared.name} sends it, of which CapFlow makes the hash"
        do = "ask whose it is where the export comes from"
        raise CapflowError("That is the hash of a user", expected=expected, came=hashes[0][:12] + "…", do=do)


def _forget_rows(deployment: Deployment, rows: UserRows, key: bytes, user: str, reason: str) -> Receipt:
    lake, customer = deployment.lake, rows.customer.name
    receipt = begin_receipt(customer, digest(key, "user", user), reason)
    remember(lake, customer, "user", digests_of_user(key, user, _is_hashed(rows.customer)))
    traces = rows.traces(user)
    receipt.was_known = traces.is_known
    receipt.bills_suppressed = len(traces.bills)
    remember(lake, customer, "bill", [digest(key, "bill", bill) for bill in traces.bills])
    receipt.models_marked = _mark(deployment, customer, receipt, traces)
    if shared := _forget_shared(deployment, customer, key, [user, *rows.known_as(user)]):
        receipt.rows_removed[SHARED_EXAMPLES] = shared
    # While it is still known which deliveries carried the user; those that did nothing before are asked again.
    waiting = unsettled(lake, customer, receipt.user_digest)
    results = erase(deployment, rows.customer, traces.users, waiting)
    receipt.deliveries = [_delivery(result) for result in results]
    for of_nobody in (True, False):
        for table, count in rows.delete(traces, of_nobody).items():
            receipt.rows_removed[table] = receipt.rows_removed.get(table, 0) + count
    spellings = rows.known_as(user)
    _forget_online(deployment, receipt, spellings, _of_other_subjects(deployment, traces))
    return receipt


def _forget_online(
    deployment: Deployment, receipt: Receipt, spellings: Collection[str], others: dict[str, Collection[str]]
) -> None:
    """What is looked up online goes at once; where its server is not reached, the receipt says that it remains."""
    try:
        count = answers_of(deployment.home, receipt.customer).forget(spellings, others)
    except (StoreError, OSError) as error:  # a server that is down, a disk that cannot be written
        words = str(error).splitlines()[0]
        receipt.remains.append(
            "the user's online answers, until the tables are published again (by the next night, or a server within a "
            f"minute) or the next capflow forget of the user: {words}"
        )
    else:
        if count:
            receipt.rows_removed["online answers"] = count


def _of_other_subjects(deployment: Deployment, traces: Traces) -> dict[str, Collection[str]]:
    """What goes of answers that are not of users, by table: of the user's bills, reviews, recordings; none of shops."""
    subjects = {name: spec.model.subject.key[0] for name, spec in deployment.stages.models.items()}
    return {f"{ANSWERS}{name}": traces.of_subject(key) for name, key in subjects.items() if key != "user_id"}


def _forget_shared(deployment: Deployment, customer: str, key: bytes, spellings: Collection[str]) -> int:
    """Examples of the user that were given to pooled models; those models forget them at their next training."""
    subjects = {digest(key, "user", spelling) for spelling in spellings}
    with suppress(OSError):  # ``_remains`` says so
        return SharedExamples(deployment.lake).forget(customer, subjects)
    return 0


def _unseen_shared(lake: Lake, customer: str) -> list[str]:
    """What to say where this identity may not look at the examples that the customer shares."""
    try:
        SharedExamples(lake).models(customer)
    except OSError as error:
        return [f"examples shared with the vertical, which could not be looked at: {str(error).splitlines()[0]}"]
    return []


def _delivery(result: TakenBack) -> dict[str, str | int | None]:
    receipt = result.receipt
    what = {"delivery": receipt.delivery, "destination": receipt.destination, "model": receipt.model}
    what |= {"as_of": receipt.as_of.isoformat()}
    return {**what, "rows": result.rows, "reason": result.reason}


def _mark(deployment: Deployment, customer: str, receipt: Receipt, traces: Traces) -> dict[str, list[int]]:
    """Mark every version that may have learned from the user: it was trained as of a moment when they were known."""
    if not traces.is_known:
        return {}
    marked: dict[str, list[int]] = {}
    registry = deployment.registry
    for model in registry.models(customer):
        for version in registry.versions(customer, model):
            as_of: datetime | None = None
            # Where its report is broken, when it was trained cannot be told: it may have learned from the user.
            with suppress(BrokenModelError):
                as_of = registry.trained_as_of(customer, model, version)
            if traces.since is None or as_of is None or traces.since <= as_of:
                registry.mark_forgotten(customer, model, version, receipt.user_digest, receipt.at)
                marked.setdefault(model, []).append(version)
    return marked


def _remove_files(lake: Lake, rows: UserRows) -> int:
    """Old versions of the tables that know users, plots, pages and what killed runs left; how many files that were."""
    customer = rows.customer.name
    removed = sum(keep_newest_version(lake.path(customer, name)) for name in rows.tables())
    removed += sum(remove_folder(f"{lake.prefix(customer)}/{name}") for name in PICTURES)
    return removed + sum(remove_folder(place) for place in _left_staged(lake, customer))


def _left_staged(lake: Lake, customer: str) -> list[str]:
    below = f"/{STAGING}."
    names = {
        info.path.split(below)[1].split("/")[0] for info in files_below(lake.prefix(customer)) if below in info.path
    }
    return [f"{lake.prefix(customer)}{below}{name}" for name in sorted(names)]


def _made_of(deployment: Deployment, customer: str, tables: Collection[str]) -> list[str]:
    """The tables of the customer that are made of those from which rows went: their totals still count the user."""
    stages, waiting, downstream = deployment.stages, list(tables), set()
    while waiting:
        table = waiting.pop()
        for key, spec in stages.tables.items():
            if key not in downstream and table in {source.table for source in spec.inputs}:
                downstream.add(key)
                waiting.append(key)
    present = set(deployment.lake.tables(customer))
    return [key for key in stages.order if key in downstream & present]


def _remains(deployment: Deployment, records: Records, receipt: Receipt, ids: Sequence[str]) -> list[str]:
    remains = list(
        dict.fromkeys(
            f"the user in {delivery['model']} at {delivery['destination']}, which the next capflow forget of the user "
            f"asks again: {delivery['reason']}"
            for delivery in receipt.deliveries
            if delivery["reason"]
        )
    )
    remains += _left_at_destinations(deployment, receipt)
    user = ids[0]
    if receipt.recomputed_at_the_next_run:
        remains.append(f"totals that count the user, until the next run: capflow run {receipt.customer}")
    if SHARED_EXAMPLES in receipt.rows_removed:
        remains.append(
            "models pooled over the vertical, which learned from examples without ids: until they learn again"
        )
    if receipt.models_marked:
        remains.append("marked model versions, which learned from the user: train them again")
    if user.isdigit() or len(user) < LEAST_CHARACTERS_TO_LOOK_FOR:
        remains.append("an id this short is not looked for in the files of models")
    else:
        searches = [search(deployment.lake.prefix(receipt.customer), spelling) for spelling in ids]
        holding = dict.fromkeys(file for result in searches for file in result.holding)
        unread = dict.fromkeys(file for result in searches for file in result.unread)
        remains += [f"the id itself in {file}: train again" for file in holding]
        remains += [f"{file}, which is damaged and was not looked into: train again" for file in unread]
    if "raw/media" in receipt.rows_removed:
        remains.append("the user's pictures and recordings at the source, which are the customer's to delete")
    if not records.is_local:
        remains.append("what steps have printed, where CAPFLOW_COMPUTE_LOGS says: as long as that bucket keeps it")
    return remains


def _left_at_destinations(deployment: Deployment, receipt: Receipt) -> list[str]:
    """Deliveries of answers about the user's bills, reviews or recordings: destinations delete by user alone."""
    tables = [name.split("/") for name in receipt.rows_removed if name.startswith(("predictions/", ANSWERS))]
    answered = {model for _, model in tables if model in deployment.stages.models}
    subjects = {model: deployment.stages.models[model].model.subject for model in answered}
    ledger, customer = Ledger(deployment.lake, receipt.customer), receipt.customer
    return [
        f"what {destination} got of {model} about the user's {subjects[model].name}s: delete it there, or take all of "
        f"it back and deliver again: capflow withdraw {customer} {model} -d {destination}"
        for model in sorted(answered)
        if "user_id" not in subjects[model].key
        for destination in sorted({sent.destination for sent in arrived(ledger, model)})
    ]


def _remove_old_objects(lake: Lake, customer: str, receipts: Iterable[Receipt]) -> None:
    """What a bucket with versioning keeps; where this identity may not, the receipts say so."""
    if not lake.root.startswith("s3://"):
        return
    from botocore.exceptions import ClientError

    try:
        remove_old_objects(lake.prefix(customer))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        remainder = f"older versions of objects, if the bucket keeps them: they could not be looked at ({code})"
        for receipt in receipts:
            receipt.remains.append(remainder)
            save_receipt(lake, receipt)
