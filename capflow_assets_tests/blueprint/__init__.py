"""Tests of ``blueprint``."""
