"""Tests of steps that run on Databricks: most on the local workspace of `capflow_assets_doubles.databricks`."""
