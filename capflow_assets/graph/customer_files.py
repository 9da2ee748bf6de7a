"""Whether every TOML in the customers' folder is one that a customer comes in by, as a check of the fleet's asset.

The morning's picture evaluates it, and the onboarding sensor does as soon as a file is refused or mended.
"""

import dagster as dg

from capflow_assets.life.verdicts import FLEET

KEY = dg.AssetKey(FLEET.split("/"))
CHECK = "customer_files"
SPEC = dg.AssetCheckSpec(
    CHECK, asset=KEY, description="Every TOML in the customers' folder declares a customer that can come in."
)


def check_result(refusals: dict[str, str]) -> dg.AssetCheckResult:
    """The check in a run of the asset; ``refusals`` say by file why it was refused."""
    return dg.AssetCheckResult(
        asset_key=KEY,
        check_name=CHECK,
        passed=not refusals,
        severity=dg.AssetCheckSeverity.WARN,
        description=_words(refusals),
        metadata=_metadata(refusals),
    )


def evaluation(refusals: dict[str, str]) -> dg.AssetCheckEvaluation:
    """The check as a sensor reports it."""
    return dg.AssetCheckEvaluation(
        asset_key=KEY,
        check_name=CHECK,
        passed=not refusals,
        severity=dg.AssetCheckSeverity.WARN,
        description=_words(refusals),
        metadata=_metadata(refusals),
        blocking=False,
    )


def _words(refusals: dict[str, str]) -> str:
    first = next(iter(refusals.values()), "").splitlines()
    more = f", and {len(refusals) - 1:,} other files" if len(refusals) > 1 else ""
    return f"{first[0]}{more}" if first else "every file declares a customer"


def _metadata(refusals: dict[str, str]) -> dict[str, dg.MetadataValue]:
    rows = [dg.TableRecord({"file": name, "reason": reason[:2000]}) for name, reason in sorted(refusals.items())]
    return {"refused": dg.MetadataValue.table(rows)} if rows else {}
