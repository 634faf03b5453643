"""Clusters: starting, ending, checking what is to be started, and saying how they are."""
