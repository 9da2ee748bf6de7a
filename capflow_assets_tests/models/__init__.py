"""Tests of the models: the contract of all, and what is special to each."""
