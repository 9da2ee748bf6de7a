"""A small Databricks workspace on this machine: the REST calls that a launcher makes, and compute that runs steps."""
