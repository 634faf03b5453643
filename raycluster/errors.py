"""What goes wrong with a cluster."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster cannot be reached or started, lost a part of the work, or has not what is needed."""
