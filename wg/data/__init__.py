"""Corpora as Lhotse cuts, and the dump that training reads."""
