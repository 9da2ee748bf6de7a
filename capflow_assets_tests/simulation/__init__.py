"""Tests of the simulated world: that its laws hold, so that they can be a measure for everything else."""
