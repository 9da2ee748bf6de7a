"""Tests of ``paths``."""
