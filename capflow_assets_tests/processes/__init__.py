"""Tests of ``processes``."""
