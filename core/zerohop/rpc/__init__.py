"""The internal RPC: typed msgpack messages, streams and file descriptors between the processes of a cluster."""
