"""The loop of a driver in Python: orders from standard input, replies to standard output."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ["Entries", "Settings", "serve", "trust_by_environment"]

Settings = dict[str, Any]
"""What `Access.as_json` gives."""

Entries = list[tuple[str, int]]
"""Keys and sizes in bytes."""


def trust_by_environment(settings: Settings) -> None:
    """For clients on Rust's object_store, which takes certificates from nowhere else."""
    if settings["is_secure"]:
        os.environ["SSL_CERT_FILE"] = settings["ca_file"]


def serve(connect: Callable[[Settings], object]) -> None:
    """Each order is a call of the method of that name of what `connect` returns."""
    replies, sys.stdout = sys.stdout, sys.stderr
    client = connect(json.loads(sys.argv[1]))
    for line in sys.stdin:
        order = json.loads(line)
        try:
            reply = {"result": getattr(client, order["operation"])(**order["arguments"])}
        except Exception:  # noqa: BLE001 - whatever it is, the test that gave the order shows it
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=replies, flush=True)
    close = getattr(client, "close", None)
    if close:
        close()
