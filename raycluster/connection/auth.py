"""Who may talk to the embedded Ray: this process and its children alone.

Ray's processes listen on every interface of the machine, and whoever reaches an unprotected Ray can run code in it
(CVE-2023-48022). A random token in the environment, never written to a file, closes that.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys

_UNPROTECTED = (
    "the Ray that is started now on this machine is not protected by a token, because ray was imported earlier in this "
    "process and has read its settings by then: whoever reaches its ports can run code in it. To protect it, import "
    "raycluster.connection.connect and enter connect() before anything imports ray, or set RAY_AUTH_MODE=token and "
    "RAY_AUTH_TOKEN in the environment; RAY_AUTH_MODE=disabled accepts it and silences this warning"
)

_log = logging.getLogger(__name__)


def protect() -> None:
    """Set a token for a Ray that this process is about to start, unless the user has said how to authenticate.

    Ray reads its settings when it is imported: where that has happened already, authentication stays as it is, and a
    warning says so.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    if "ray" in sys.modules:
        _log.warning(_UNPROTECTED)
        # Said explicitly: without it Ray would write a token file into the user's home.
        os.environ["RAY_AUTH_MODE"] = "disabled"
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
