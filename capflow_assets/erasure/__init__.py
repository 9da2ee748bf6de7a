"""Erasure: users who are forgotten, with receipts. Knows Dagster's records only as ``redaction.Records``."""
