"""Tests of ``nights``."""
