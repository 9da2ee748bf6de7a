"""What tests and benches share: small real stand-ins for the world around `capflow`, and the inputs that it sends.

Servers that speak the real protocols (``sql_servers``, ``mongo_server``, ``redis_server``, ``sftp_server``,
``http_server``, a small Databricks workspace in ``databricks/`` …), the two Spark engines, homes that are used as a
person uses them, and seeded inputs. It imports the product and is imported by tests and benches; the product knows
nothing of it and the wheel leaves it out. Tests import benches as little as benches import tests.
"""
