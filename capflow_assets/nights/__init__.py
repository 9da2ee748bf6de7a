"""What a customer's night decides and keeps: what was delivered where, who may be delivered, which work goes first.

Belongs here: the ledger of deliveries, the rules at the door, admission and the plan; pure where it can be. Does not
belong here: how a destination takes rows (``delivery``), and what launches work (``graph``).
"""
