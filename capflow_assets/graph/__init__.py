"""Wiring: the only folder that knows dagster, mlflow, sessions and the cloud.

Belongs here: how the pure stages become assets, checks, partitions, sensors, sessions, stored tables and registered
models. Does not belong here: any figure about a shopper; and no module here imports a concrete table, feature or
model (``definitions.py`` hands the packages in), so that a new one is one new file elsewhere.

    home engine lake registry    where state lives
    champions model_files saved_estimators answering   which version answers, and that it is the one that was registered
    stages                       reads the packages: tables, checks, models and the edges between them
    runner cohort customer_tables  tables of one customer, of many, as assets
    lifeline supervision customers_in_turn cohort_process   what a process that dies or is stopped costs: one customer
    examples training scoring health model_assets   the life of a model, as assets
    verdicts fleet               who is ready for which model, one customer's and all of them
    partitions onboarding retraining_sensor        customers coming, models retrained
    step_launcher databricks_run databricks_settings code_wheel staging remote_step   a step as a Databricks run
    pages charts wording         the report of a customer as one HTML page
    doctor policies secrets      what a deployment needs around it, checked and written down
    webpage                      Dagster's page behind a guard, its processes started and ended together
    build                        everything above as one Definitions
"""
