"""The worker: block store with memory and disk tiers over the durable under-store."""
