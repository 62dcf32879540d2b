"""Text to phoneme symbols: normalisation, pronunciation, symbols, sentences."""
