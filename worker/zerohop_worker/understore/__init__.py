"""The under-store: where contents are durable. One protocol, one module for each kind of store."""
