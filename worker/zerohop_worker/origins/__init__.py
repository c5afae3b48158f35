"""The stores behind mounts. One protocol (`interface`), one module for each kind of store."""
