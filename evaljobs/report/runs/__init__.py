"""Finished runs: read, joined, and looked at over time."""
