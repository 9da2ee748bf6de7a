"""Tests of ``tables``."""
