"""Diffusion vocoders of other packages in their own sampling loops, to be timed beside ours.

Their weights are random, which changes no speed. As `MODULE:FACTORY@MEL` of `wg bench speed`:
`wg.bench.peers:lmnt_wavegrad@lmnt-wavegrad`, `wg.bench.peers:lmnt_diffwave@lmnt-diffwave`.
Shapes: B batch, M mels, F frames, T samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wg.bench.external import agree, package
from wg.mel.spec import MelSpec


class LmntLoop(nn.Module):
    """The loop of lmnt's `inference.py`, the same in both of its packages: [B, M, F] -> [B, T].

    `network_inputs` [N, 1]: what the network is given of each step's level, noisiest step last.
    """

    network_inputs: Tensor

    def __init__(
        self, network: nn.Module, beta: np.ndarray, network_inputs: Sequence[float], hop: int
    ) -> None:
        super().__init__()
        self.network, self.beta, self.hop = network, beta, hop
        inputs = torch.tensor(network_inputs, dtype=torch.float32)
        self.register_buffer("network_inputs", inputs[:, None])

    def forward(self, mels: Tensor) -> Tensor:
        """Waveforms, clamped at each step as there."""
        alpha, alpha_cum = 1 - self.beta, np.cumprod(1 - self.beta)
        audio = torch.randn(len(mels), self.hop * mels.shape[-1], device=mels.device)
        for n in range(len(alpha) - 1, -1, -1):
            noise = self.network(audio, mels, self.network_inputs[n]).squeeze(1)
            c1, c2 = 1 / alpha[n] ** 0.5, (1 - alpha[n]) / (1 - alpha_cum[n]) ** 0.5
            audio = float(c1) * (audio - float(c2) * noise)
            if n > 0:
                sigma = ((1 - alpha_cum[n - 1]) / (1 - alpha_cum[n]) * self.beta[n]) ** 0.5
                audio = audio + float(sigma) * torch.randn_like(audio)
            audio = audio.clamp(-1, 1)
        return audio


def untrained(name: str, kind: str) -> Any:
    """The network of lmnt's package `name` as it begins, the same every time."""
    module, params = package(f"{name}.model", name), package(f"{name}.params", name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return vars(module)[kind](params.params)


def lmnt_wavegrad(spec: MelSpec, steps: int = 6) -> nn.Module:
    """WaveGrad Base (2009.00713) of lmnt-com, package `wavegrad`."""
    agree(spec, "lmnt-wavegrad")
    beta = np.linspace(1e-6, 0.5, steps)
    return LmntLoop(
        untrained("wavegrad", "WaveGrad"), beta, np.cumprod(1 - beta).tolist(), spec.hop_length
    )


def lmnt_diffwave(spec: MelSpec, steps: int = 6) -> nn.Module:
    """DiffWave BASE (2009.09761) of lmnt-com, package `diffwave`."""
    agree(spec, "lmnt-diffwave")
    network = untrained("diffwave", "DiffWave")
    seeded = torch.Generator().manual_seed(0)
    nn.init.normal_(network.output_projection.weight, std=0.01, generator=seeded)  # zero there
    beta = np.linspace(1e-4, 0.5, steps)
    return LmntLoop(network, beta, np.linspace(0, 48.5, steps).tolist(), spec.hop_length)
