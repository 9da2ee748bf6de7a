"""`python -m capflow_assets` is `capflow`."""

from capflow_assets.cli import main

main()
