"""Search for schedules of few steps, for a packed vocoder."""
