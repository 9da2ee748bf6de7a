"""The models: one file each, found by their file name.

Belongs here: a file that defines ``MODEL`` (a ``contract.Model``) with its question, needs, subject, reads, outcome,
answer, parameters, candidates, metric, rules and plot. Does not belong here: training, splitting, registering,
promoting or answering, which are the same for every model, and methods that two models share (``learning``). A new
model is one new file; no list of models is kept anywhere.

The columns that an estimator sees (``contract.Examples.columns``) are indexed by the subject's key and may be more than
``MODEL.columns``, in any order. A column ``moment`` (0 = oldest) says which past as-of moment an example belongs to; an
estimator may hold the newest out for calibration and never reads it as a feature.
"""
