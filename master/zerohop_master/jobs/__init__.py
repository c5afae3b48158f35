"""Work on many objects that the master drives and workers do: the queue of writes for origins, and jobs."""
