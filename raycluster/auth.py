"""Who may talk to the embedded Ray: this process and its children alone.

Ray's processes listen on every interface of the machine, and whoever reaches an unprotected Ray can run code in it
(CVE-2023-48022). A random token in the environment, never written to a file, closes that.
"""

from __future__ import annotations

import os
import secrets
import sys


def protect() -> None:
    """Set a token for a Ray that this process is about to start, unless the user has said how to authenticate.

    Ray reads its settings when it is imported: where that has happened already, authentication stays as it is.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    if "ray" in sys.modules:
        # Said explicitly: without it Ray would write a token file into the user's home.
        os.environ["RAY_AUTH_MODE"] = "disabled"
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
