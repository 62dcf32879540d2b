"""Tasks: what stages have to know of a kind of model, one file a kind (see `wg.tasks.task`)."""
