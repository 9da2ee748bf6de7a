"""CapFlow Assets: the models of a retail CRM as a graph of assets, one partition per customer.

The way of the data, and the folders that follow it:

    landing/      a source's rows in the canonical columns, each with the reason where it cannot land
    sources/      opens a kind of store as a Spark DataFrame: one file, one kind
    expressions/  what an id is, and which days are none: one definition for all of them
    raw/          the canonical tables as landed: one file, one schema
    clean/        conformed tables: one file, one function
    validation/   reports about a customer's data, and checks that return a Finding
    features/     what is known of a user as of a moment: one file, one block
    models/       a question, its evidence, label, parameters, estimator and baseline: one file, one model
    learning/     what models share: splits, intervals, calibration, promotion (arrays, not customers)
    monitoring/   drift and the retraining policy
    simulation/   the seeded world with planted truth, for the demo, tests and benchmarks
    demo/         the customers of `capflow demo` and the tour through them
    graph/        the only folder that knows Dagster, MLflow, sessions and the cloud

Beside them: contract.py (the nouns), customers/customer.py (what a customer declares), customers/toml_text.py (its text, within limits),
customers/toml_problems.py and customers/value_rules.py (what is wrong with it, in words), customers/onboarding_problems.py (what is asked of it when
it comes in), customers/table_inputs.py (what its tables read), blueprint/schema_checks.py (pandera in one pass), customers/checks_settings.py (what a
customer says about checks; verticals/ holds the defaults), errors.py (every error and its words), foreign.py (other
libraries' errors in ours), paths/folders.py (which folders libraries misread), paths/fence.py (what a customer's sources may open),
pages/spreadsheet.py (CSV that may be opened), cli/commands.py, cli/champion_commands.py, cli/operator_commands.py, cli/options.py, cli/terminal.py and
cli/layout.py (`capflow …`), definitions.py (the whole graph, one page).
"""
