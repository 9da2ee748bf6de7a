"""Fitted estimators as files that answer online: graphs (ONNX) and plain numbers, without pandas, XGBoost or torch.

A training writes such a file beside its version (``conversion``, ``visit_nets``); a server reads it (``scorers``,
``visit_lists``) and imports neither the estimator's code nor its libraries. Belongs here: what is written, what is
read, and that both agree. Does not belong here: where files lie, and who asks.
"""
