"""The benchmark: vocoders side by side on the same recordings, and any folders of audio."""
