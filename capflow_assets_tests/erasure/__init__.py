"""Tests of ``erasure``."""
