"""CapFlow Assets: the models of a retail CRM as a graph of assets, one partition per customer.

What a customer company adds to: one file is one thing, found by its name. The way of the data:

    sources/      opens a kind of store as a Spark DataFrame: one file or package, one kind
    raw/          the canonical tables as landed: one file, one schema
    clean/        conformed tables: one file, one function
    validation/   reports about a customer's data, and checks that return a Finding
    features/     what is known of a user as of a moment: one file, one block
    models/       a question, its evidence, outcome, answer, candidates and rules: one file, one model
    delivery/     a kind of destination, to which predictions are brought: one file, one kind
    verticals/    what holds for the checks of a vertical's customers by default: one TOML, one vertical

What carries it: rooms in floors, each importing only downwards. The lowest first:

    contract/     the nouns that every room shares: of tables, of sources, of models
    paths/        which folders libraries misread, and what a customer's sources may open
    transfer/     what sources and destinations share: credentials by name, places for files
    expressions/  an id, an exact sum, a local day, a visit, what a moment knows: one definition for all of them
    landing/      a source's rows in the canonical columns, each with the reason where it cannot land
    customers/    what a customer declares in its TOML, checked
    learning/     what models share: splits, intervals, calibration, promotion (arrays, not customers)
    monitoring/   drift and the retraining policy
    synthesis/    features composed recursively over the graph of entities
    encoders/     texts as vectors
    simulation/   the seeded world with planted truth, for the demo, tests and benchmarks
    home/         a deployment: its places, settings, keys, secrets, session, and what each customer may read
    processes/    locks, first use, who is alive, and commands that outlive their own death
    stores/       where tables and models lie: lake, history, written files, registry
    blueprint/    what the packages declare, read and checked: specs, edges, order
    tables/       one customer's tables: land, run, advance, quarantine, catalogue
    drafting/     a customer's TOML out of its files, with a comment beside every guess
    pages/        what people read: report, features, pictures
    life/         one model's life: examples, readiness, training, report, scoring, health
    nights/       what a night decides and keeps: who starts when, what is delivered, the rules at the door
    alerts/       who is told of what goes wrong, and how
    erasure/      forget
    serving/      online answers: tokens, publication, versions that are ready, the ladder, HTTP
    graph/        the only room that knows Dagster: build, assets, checks, sensors, runs, records; databricks/, webpage/
    doctor/       tries a deployment and says what to do
    console/      pages of the fleet for those who run it: nights, models, deliveries, decisions
    cli/          `capflow …`
    demo/         the customers of `capflow demo` and the tour through them

Beside them: errors.py (every error and its words), foreign.py (other libraries' errors in
ours), deployment.py (a home, its customers, lake and registry, as `life` and all above it share them), packages.py
(what the packages declare, without Dagster), definitions.py (the whole graph, one page). Stages do not import each
other: a parameter's name is the edge. The floors are kept by import-linter (`make check`).

`customers` lies above `landing`, whose grammar judges what a TOML says; `home` lies below the stores, since locks,
databases and the registry each have a place in it.
"""
