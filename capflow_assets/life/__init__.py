"""One model's life: examples, readiness, training, leaks, scoring, what it was trained on, and its health.

Does not belong here: the mathematics that models share (``learning``), where models lie (``stores``), Dagster.
"""
