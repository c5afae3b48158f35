"""Which eviction policy: synthetic traces replayed through the product's policy, other policies and references."""
