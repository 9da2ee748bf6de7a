"""Tests of ``life``."""
