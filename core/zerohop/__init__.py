"""zerohop: a fast, correct S3 endpoint with a cache in front of slow storage.

This package holds what all processes share and what users import: errors, model, units, configuration, RPC, the
client and the command line. The processes live in `zerohop_master`, `zerohop_worker` and `zerohop_proxy`.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
