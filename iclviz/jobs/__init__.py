"""Jobs: a queue on disk, the worker that takes from it, and the computing of one run."""
