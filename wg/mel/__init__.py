"""The mel contract: what a mel spectrogram is, and its computation and rough inversion."""
