"""The master: namespace and cluster membership over a transactional key-value store."""
