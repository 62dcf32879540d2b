"""Where in an utterance a symbol is to be expected before anything is learnt."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=512)
def beta_binomial(frames: int, symbols: int, scale: float = 1.0) -> Tensor:
    """Log-probability of each symbol for each frame, float32 [T, N].

    One TTS Alignment (2108.10447), eq. 8: frame t = 1..T has BetaBinomial(k; n, a, b) over the
    symbols k = 0..N-1 with n = N - 1, a = scale t, b = scale (T - t + 1). A smaller scale is wider.
    """
    t = torch.arange(1, frames + 1, dtype=torch.float64)[:, None]
    k = torch.arange(symbols, dtype=torch.float64)[None]
    n = torch.tensor(float(symbols - 1), dtype=torch.float64)
    a, b = scale * t, scale * (frames - t + 1)
    choose = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return (choose + _log_beta(k + a, n - k + b) - _log_beta(a, b)).float()


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
