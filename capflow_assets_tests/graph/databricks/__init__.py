"""Tests of ``databricks``."""
