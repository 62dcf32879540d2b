"""Devices and processes: where a run computes, starting and joining its processes."""
