"""Other programs' exports with invented rows, as customers: their TOMLs are those of examples/."""
