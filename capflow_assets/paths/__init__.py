"""Paths: which folders libraries misread, and what a customer's sources may open. Pure; knows neither home nor TOML."""
