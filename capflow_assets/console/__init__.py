"""Pages for those who run the fleet: what Dagster does not show, and a click away from what it does.

Server-rendered, without a build step and without scripts. Numbers come from the lake, Dagster's event log and MLflow;
nothing is kept twice. Belongs here: what is gathered for a page, its words and its HTML. Does not belong here: figures
of shoppers, and how decisions are carried out (``graph.decisions``).

    fleet_view        what all pages are drawn from, gathered anew every minute beside the requests
    features_index    every feature by name, with those who read it
    access            who may look, and who may decide
    page_views        what each address answers
    app               the addresses
    templates         the HTML
"""
