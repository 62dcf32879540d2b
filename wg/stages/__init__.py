"""Stages of a recipe, one file each, and the loop that runs them."""
