"""What a customer declares in its TOML, read and checked. Pure."""
