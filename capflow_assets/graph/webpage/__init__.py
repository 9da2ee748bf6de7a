"""Dagster's page as this platform serves it: guarded, and with all of its processes ended together.

Dagster's own webserver has no log-in, takes GraphQL mutations by GET and answers to any name, so that a foreign web
page in the reader's browser may launch runs. And `dagster dev` leaves its processes behind. So:

    served       the names that the page answers to, and what is wrong with a request
    guard        refuses what a foreign page could send, in front of Dagster's webserver
    webserver    Dagster's webserver behind the guard, with all of its options
    daemon       Dagster's daemon, one a home
    sessions     the processes of a session, and their end
    keeper       starts code server, daemon and webserver, and ends all of them
    start        looks at port and home, starts the keeper, passes signals on
"""
