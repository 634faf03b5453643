"""Whether the head of the cluster still answers.

Ray waits a minute for a head that went away, and then ends the process itself, without a word of ours and with an exit
code of its own. So a pool looks for itself, gives up before that, and asks the head nothing while it is silent.
"""

from __future__ import annotations

import socket
import time

import ray

from raycluster.errors import ClusterError

# Less than Ray's minute, more than a head takes that is started again with its memory kept elsewhere.
PATIENCE_S = 30.0
_EVERY_S = 1.0
_CONNECT_S = 2.0


class Head:
    """The head of the cluster that this process is connected to."""

    def __init__(self) -> None:
        self._address = str(ray.get_runtime_context().gcs_address)
        self._looked_at = self._answered_at = time.monotonic()
        self.answers = True

    def look(self) -> None:
        """See now and then whether it answers.

        Raises
        ------
        ClusterError
            If it has not for half a minute.
        """
        now = time.monotonic()
        if now - self._looked_at < _EVERY_S:
            return
        self._looked_at = now
        if not self.knock() and now - self._answered_at > PATIENCE_S:
            raise ClusterError(
                f"the head of the cluster, {self._address}, has not answered for {now - self._answered_at:.0f} s: its "
                "process has ended, or the network is down"
            )

    def knock(self) -> bool:
        """See at once whether it answers: for whoever is about to ask it, and would be kept for a minute."""
        self.answers = self._connects()
        if self.answers:
            self._answered_at = time.monotonic()
        return self.answers

    def _connects(self) -> bool:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
        except OSError:
            return False
        return True
