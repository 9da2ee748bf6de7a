"""Online answers: `capflow serve`. A known subject always gets one, and it says who gave it.

Belongs here: what a server of answers needs, from the night's publication to HTTP. Does not belong here: how a model
scores (``learning``, ``models``), and which version does (``life``, ``stores``).
"""
