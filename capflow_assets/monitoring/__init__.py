"""How served models are watched: drift of their inputs and scores, and when they ask for retraining.

Belongs here: pure functions from frames and histories to figures and requests. Does not belong here: reading or
writing histories, sensors, runs, clocks (an as-of moment always comes from the caller).
"""
