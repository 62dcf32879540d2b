"""Other systems: their checkpoints (one file a format), acoustic models, and exported networks."""
