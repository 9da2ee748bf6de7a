"""Tests of drift and of the retraining policy."""
