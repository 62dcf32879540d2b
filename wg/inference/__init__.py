"""A trained model in use: mel, text or nothing to waveform. Torch, numpy and safetensors only."""
