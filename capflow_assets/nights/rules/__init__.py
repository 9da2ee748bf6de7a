"""The rules at the door of a delivery: who may be delivered. One file, one rule; functions of arrays, without a clock.

Belongs here: what a rule says of users. Does not belong here: where consents and earlier deliveries lie, and the order
in which the rules are asked (``nights.door``). Pure.
"""
