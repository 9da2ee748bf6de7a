"""Steps as Databricks runs: settings, staging, the submitted run, its events, and our step launcher."""
