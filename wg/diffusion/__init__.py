"""Diffusion of waveforms in one coordinate: the noise level l = sqrt(alpha_bar) in (0, 1].

| symbol | meaning |
|---|---|
| beta_n | variance added by step n = 1..N, in (0, 1) |
| alpha_n | 1 - beta_n |
| l_n, `level` | sqrt(prod_{i<=n} alpha_i), the share of the signal; l_0 = 1 is clean, ~0 is noise |
| s_n | sqrt(1 - l_n^2), the share of the noise |
| x_n | l_n x_0 + s_n eps, the noisy waveform, [B, T] |

A schedule is a float64 tensor of levels [N + 1], `levels[0] == 1`, strictly decreasing.
"""
