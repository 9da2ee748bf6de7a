"""What goes wrong between the till and the lake: rows late, twice, missing, mended, absurd, or no numbers at all."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from capflow_assets.errors import CapflowError
from capflow_assets.simulation import frauds
from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.streams import stream

LATE_DAYS = 14
MENDED_AFTER_DAYS = 3
TIMES_TOO_MANY = 1000
TIMES_TOO_DEAR = 10
NOT_A_NUMBER = "n/a"
NOT_A_DATE = "unknown"
# The dials of a brand whose bills nothing is wrong with.
NONE = {
    "duplicates_pct": 0,
    "wrong_types": 0,
    "anomalies": 0,
    "discount_frauds": 0,
    "refund_frauds": 0,
    "corrected_pct": 0,
    "late_rows_pct": 0,
    "half_empty_from": None,
}


def plan(brand: Brand, bills: pd.DataFrame) -> pd.DataFrame:
    """What happens to each bill.

    One row per bill: bill_id; known_at (when it arrives); is_missing (never arrives); and, of those that arrive, at
    most one of is_duplicated, is_anomalous, wrong_type ("amount" or "billed_at" is not one; else ""), corrected_at
    (until then it stands there with ten times its total; null for most).

    Raises:
        CapflowError: the brand asks for more dirty bills than there are.
    """
    lots = stream(brand.seed, "arrival of bills").random((len(bills), 3))
    half_gone = np.zeros(len(bills), dtype=bool)
    if brand.half_empty_from is not None:
        local = bills["billed_at"].dt.tz_convert(brand.time_zone).dt.tz_localize(None)
        half_gone = (local >= pd.Timestamp(brand.half_empty_from)).to_numpy()
    late = (lots[:, 0] < brand.late_rows_pct / 100) * (1 + np.floor(lots[:, 1] * LATE_DAYS))
    known_at = bills["billed_at"] + pd.to_timedelta(late + brand.label_delay_days, unit="D").as_unit("us")
    missing = half_gone & (lots[:, 2] < 0.5)
    twice, wrong, absurd, mended = _spread(brand, np.flatnonzero(~missing))
    kind = np.full(len(bills), "", dtype=object)
    kind[wrong[0::2]], kind[wrong[1::2]] = "amount", "billed_at"
    is_mended = _marked(mended, len(bills))
    is_free = ~missing & ~_marked(np.concatenate([twice, wrong, absurd, mended]), len(bills))
    planned = pd.DataFrame(
        {
            "bill_id": bills["bill_id"],
            "known_at": known_at,
            "is_missing": missing,
            "is_duplicated": _marked(twice, len(bills)),
            "is_anomalous": _marked(absurd, len(bills)),
            "wrong_type": kind,
            "corrected_at": (known_at + pd.Timedelta(days=MENDED_AFTER_DAYS)).where(is_mended),
        }
    )
    return pd.concat([planned, frauds.plan(brand, bills, is_free)], axis=1)


def _spread(brand: Brand, sent: np.ndarray) -> list[np.ndarray]:
    """Bills for each kind of dirt, none for two."""
    counts = [
        round(brand.duplicates_pct / 100 * len(sent)),
        brand.wrong_types,
        brand.anomalies,
        round(brand.corrected_pct / 100 * len(sent)),
    ]
    if sum(counts) > len(sent):
        raise CapflowError(
            f"The brand {brand.name!r} asks for more dirty bills than there are",
            expected=f"at most {len(sent)} bills duplicated, wrong, anomalous or corrected",
            came=str(sum(counts)),
            do="ask for less dirt, or for more users or days",
        )
    shuffled = stream(brand.seed, "dirt").permutation(sent)
    return np.split(shuffled[: sum(counts)], np.cumsum(counts)[:-1])


def _marked(places: np.ndarray, count: int) -> np.ndarray:
    marks = np.zeros(count, dtype=bool)
    marks[places] = True
    return marks


def sent(
    tables: dict[str, pd.DataFrame], dirt: pd.DataFrame, brand: Brand, upto: datetime | None
) -> dict[str, pd.DataFrame]:
    """The tables as the customer sends them at the moment ``upto``: what is known by then, with its dirt.

    Without ``upto`` everything has arrived and all corrections are made. The tables come back as new frames.
    """
    moment = pd.Timestamp(upto) if upto is not None else None
    out = {name: _known(name, frame, tables, brand, moment) for name, frame in tables.items()}
    here = dirt[~dirt["is_missing"]]
    if moment is not None:
        here = here[here["known_at"] <= moment]
    wrong = frauds.committed(**_with_anomalies(tables["bills"], tables["line_items"], here), dirt=here)
    for name, frame in wrong.items():
        out[name] = _soiled(frame.merge(here, on="bill_id"), moment)[list(frame.columns)]
    return out


def _known(
    name: str, frame: pd.DataFrame, tables: dict[str, pd.DataFrame], brand: Brand, moment: pd.Timestamp | None
) -> pd.DataFrame:
    times = {"users": "joined_at", "campaigns": "starts_at", "messages": "sent_at"}
    times |= {"redemptions": "redeemed_at", "consents": "captured_at", "reviews": "written_at"}
    if moment is None:
        return frame
    if name == "coupons":
        begun = tables["campaigns"].query("starts_at <= @moment")["campaign_id"]
        return frame[frame["campaign_id"].isin(begun)]
    if name not in times:
        return frame
    delay = pd.Timedelta(days=brand.label_delay_days if name == "redemptions" else 0)
    frame = frame[frame[times[name]] + delay <= moment]
    if name == "messages":
        answers = frame[["opened_at", "clicked_at"]]
        frame = frame.assign(**answers.where(answers <= moment))
    return frame


def _soiled(rows: pd.DataFrame, moment: pd.Timestamp | None) -> pd.DataFrame:
    """Bills or line items, each beside the dirt of its bill, with that dirt on."""
    if moment is not None and "item_id" not in rows:
        waiting = rows["corrected_at"] > moment
        rows["amount"] = rows["amount"].mask(waiting, (rows["amount"] * TIMES_TOO_DEAR).round(2))
    if rows["is_duplicated"].any():
        # A file sent twice repeats its bills whole, so the copies of a bill's lines follow all of its lines.
        copies = rows[rows["is_duplicated"]]
        rows = pd.concat([rows, copies]).sort_values("bill_id", kind="stable")
    return rows.reset_index(drop=True)


def _with_anomalies(bills: pd.DataFrame, line_items: pd.DataFrame, dirt: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Bills and line items in which the first line of some bills, and so their total, is absurd."""
    absurd = dirt.loc[dirt["is_anomalous"], "bill_id"]
    first = line_items["bill_id"].isin(absurd) & ~line_items["bill_id"].duplicated()
    bills, line_items = bills.copy(), line_items.copy()
    for column in ("quantity", "amount"):
        too_much = line_items.loc[first].set_index("bill_id")[column] * (TIMES_TOO_MANY - 1)
        line_items.loc[first, column] = (line_items.loc[first, column] * TIMES_TOO_MANY).round(2)
        bills[column] = (bills[column] + bills["bill_id"].map(too_much).fillna(0)).round(2)
    return {"bills": bills, "line_items": line_items}


def spoilt(bills: pd.DataFrame, dirt: pd.DataFrame) -> pd.DataFrame:
    """Bills as text, some with a total or a date that cannot be read, by the plan."""
    kind = bills["bill_id"].map(dirt.set_index("bill_id")["wrong_type"])
    return bills.assign(
        amount=bills["amount"].astype(object).mask(kind == "amount", NOT_A_NUMBER),
        billed_at=bills["billed_at"].mask(kind == "billed_at", NOT_A_DATE),
    )
