"""Training: the `Diffusion` mixin, its callbacks and the trainer around them."""
