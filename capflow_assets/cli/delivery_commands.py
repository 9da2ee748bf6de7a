"""``capflow …`` for deliveries: withdraw.

Belongs here: commands, as ``cli.commands`` says. Does not belong here: work; it is in ``nights``.
"""

from __future__ import annotations

from typing import Annotated

import typer

from capflow_assets.cli.options import CustomerArgument, HomeOption, ModelArgument, YesOption, names, opened, say

app = typer.Typer()


@app.command()
def withdraw(
    context: typer.Context,
    customer: CustomerArgument,
    model: ModelArgument,
    destination: Annotated[str, typer.Option("--destination", "-d", help=r"Of one only. \[default: all]")] = "",
    yes: YesOption = False,
    home: HomeOption = None,
) -> None:
    """Take back what deliveries of a model wrote, newest first, where the destination allows it; receipts say so."""
    names(context, home, [customer], model)
    from datetime import UTC, datetime

    from capflow_assets.errors import NotFoundError
    from capflow_assets.nights.ledger import Ledger
    from capflow_assets.nights.withdrawal import arrived
    from capflow_assets.nights.withdrawal import withdraw as take_back
    from capflow_assets.processes.customer_lock import customer_lock

    with opened(context, home) as (deployment, _):
        deployment.require(customer, model)
        ledger = Ledger(deployment.lake, customer)
        known = {one.name for one in deployment.customer(customer).delivery}
        known |= {receipt.destination for receipt in ledger.receipts()}
        if destination and destination not in known:
            raise NotFoundError.among(f"destination of {customer}", destination, sorted(known))
        receipts = arrived(ledger, model, destination or None)
        if not receipts:
            say(f"nothing of {model} of {customer} was delivered that could be taken back")
            return
        rows = sum(receipt.delivered for receipt in receipts)
        count = "1 delivery" if len(receipts) == 1 else f"{len(receipts):,} deliveries"
        say(f"to take back: {count} of {model} of {customer}, {rows:,} rows")
        if not yes:
            typer.confirm("Take them back?", abort=True, err=True)
        stayed = 0
        with customer_lock(deployment.home, customer, "capflow withdraw", None, say):
            # Another may have delivered while the question or the lock was waited for.
            receipts = arrived(ledger, model, destination or None)
            for result in take_back(deployment, deployment.customer(customer), receipts, datetime.now(UTC)):
                receipt = result.receipt
                name = f"{receipt.destination}, as of {receipt.as_of.isoformat()}"
                count = "rows" if result.rows is None else f"{result.rows:,} rows"
                stayed += bool(result.reason)
                typer.echo(f"{name}: {f'stays: {result.reason}' if result.reason else f'{count} taken back'}")
    raise typer.Exit(1 if stayed else 0)
