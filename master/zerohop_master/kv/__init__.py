"""The ordered transactional key-value store: its interface, and the engines that implement it."""
