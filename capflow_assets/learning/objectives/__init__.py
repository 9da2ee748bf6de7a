"""What a business question wants, one file for each kind: a chance, an amount, a time, a ranked
list, a segment, an effect, a series, an anomaly, a vector, an action.

A file gives a function that makes a ``contract.Model`` of what is a model's own (its question, needs, reads, outcome,
words, baseline) and of what all models of the kind share: candidates, metric, calibration, rules and plot. What a
model says itself comes before what its kind says.
"""
