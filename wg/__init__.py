"""Diffusion waveform models: recipes, benchmark and vocoders (see docs/architecture.md)."""

__version__ = "0.1.0"
