"""The whole platform, started for real: web page, daemon, code server, browser."""
