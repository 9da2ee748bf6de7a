"""Dagster: the packages as assets, checks, partitions, sensors and runs. The only room that knows the orchestrator.

Belongs here: how the rooms below become an asset graph, and what Dagster records of it. Does not belong here: any
figure about a shopper, files of a lake, or a concrete table, feature or model (``definitions.py`` hands the packages
in), so that a new one is one new file elsewhere.

    build golden partitions            everything as one Definitions, the graph as text, one partition per customer
    customer_tables model_assets fleet the assets: a customer's tables, each model, the picture of all
    cohort cohort_process              several customers in one run, and what a process that dies costs: one customer
    check_records records status decisions   what Dagster keeps of checks, runs, models and people's decisions
    gathering gathered_events sqlite_storage postgres_storage  how records are written: together, on kept connections
    instance launch customers_in_turn side_by_side  a run from a terminal: one process, or several
    last_runs alarms alert_sensor      what ran in the last day, what is wrong now, and who is told of it
    held_work gone_runs housekeeping   runs under a customer's lock, and those whose process is gone
    record_retention                   what Dagster remembers of long ago and newer records supersede
    onboarding retirement retraining_sensor  customers coming and going, models retrained
    customer_files              whether every TOML is one that a customer comes in by, as a check
    redelivery_sensor           deliveries that waited for the end of quiet hours, or failed, made again
    engine                             the session as a resource
    databricks                         a step as a Databricks run
    webpage                            Dagster's page behind a guard, its processes started and ended together
"""
