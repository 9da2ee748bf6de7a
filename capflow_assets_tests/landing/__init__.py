"""Tests of ``landing``."""
