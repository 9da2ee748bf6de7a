"""A deployment's home: its places, environment, settings, keys, secrets and session, and what each customer may read.

The one room that reads the environment. Does not belong here: tables, models, Dagster.
"""
