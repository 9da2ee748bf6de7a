"""Tests of ``customers.customer``."""
