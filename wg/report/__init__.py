"""What a person reads: tables, the model card, the listening page."""
