"""boto 2 on Python 3.12 and later, which no longer have what it imports."""

from __future__ import annotations

import importlib
import sys
import warnings
from types import ModuleType
from typing import Final

__all__ = ["make_boto_importable"]

_SIX: Final = ("", ".moves", ".moves.queue", ".moves.urllib", ".moves.urllib.parse", ".moves.urllib.request")


def make_boto_importable() -> None:
    """To be called before `import boto`."""
    if sys.version_info >= (3, 12):
        _import_with_stand_ins()


def _import_with_stand_ins() -> None:
    """A `six` of today stands in for the bundled one, and an empty module for `imp`."""
    for name in _SIX:
        sys.modules[f"boto.vendored.six{name}"] = importlib.import_module(f"six{name}")
    sys.modules["imp"] = ModuleType("imp")  # only its plugins, which nobody here has, would use it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("boto.plugin")
    finally:
        del sys.modules["imp"]
