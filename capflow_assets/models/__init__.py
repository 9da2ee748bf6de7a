"""The models: one file each, found by their file name.

Belongs here: a file that defines ``MODEL`` (a ``contract.Model``) with its question, needs, label, ``Params``,
estimator, baseline, metric, gate and plot. Does not belong here: training, splitting, registering, promoting or
scoring, which are the same for every model, and methods that two models share (``learning``). A new model is one new
file; no list of models is kept anywhere.

Frames that an estimator sees are indexed by ``user_id`` and may hold more columns than ``MODEL.columns``, in any
order. A column ``moment`` (0 = oldest) says which past as-of moment an example belongs to; an estimator may hold the
newest out for calibration and never reads it as a feature.
"""
