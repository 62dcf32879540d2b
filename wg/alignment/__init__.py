"""Alignment of symbols with frames: prior, forward-sum and binarisation losses, search.

Shapes: B utterances, T frames, N symbols of an utterance in their order.
"""
