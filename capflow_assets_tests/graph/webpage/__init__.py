"""Tests of ``webpage``."""
