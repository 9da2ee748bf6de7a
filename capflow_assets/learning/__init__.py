"""What models share: splits in time, intervals, calibration, metrics, promotion, readiness; and ways to learn.

Chances (``chances`` and its kinds: ``boosting``, ``spline_logistic``, ``extra_trees``, ``buying_chance``), probability
models of buying (``btyd``, ``gamma_gamma``), lists of items (``item_lists``,
``recipe_choice``), forecasts (``forecasting``), effects of treatments (``uplift``, ``qini``).

Belongs here: a method that two models use or could use, over arrays and pandas frames. Does not belong here: anything
that knows a customer, a store, a run or a registry; anything that only one model needs (that stays in its file).
``outcomes`` alone touches a table: it says what counts as a visit when an outcome is computed. ``measures`` names the
kinds of evidence that a model may ask for, ``readiness`` judges it.
"""
