"""Gaussian noise that is a function of seed, step and position, and of nothing else."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import torch
from torch import Tensor

from wg.errors import InputError

BLOCK = 8192  # samples; the unit in which noise is generated


def mix_seed(*parts: int) -> int:
    """63-bit seed from integers; near inputs give unrelated seeds.

    InputError for an integer of more than 64 bits.
    """
    try:
        packed = struct.pack(f"<{len(parts)}q", *parts)
    except struct.error:
        longest = max(parts, key=abs)
        raise InputError(f"seed {longest}: give one between -2^63 and 2^63 - 1") from None
    digest = hashlib.blake2b(packed, digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_of(name: str, seed: int) -> int:
    """Seed of an utterance: a function of its id and the run's seed, not of its place."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return mix_seed(int.from_bytes(digest, "little", signed=True), seed)


def shares_of(seeds: Sequence[int]) -> Tensor:
    """A number in [0, 1) of each seed, float64 [B], uniform over seeds."""
    # A hash is as good as a generator and far cheaper.
    return torch.tensor([mix_seed(seed) / 2**63 for seed in seeds], dtype=torch.float64)


class RowDraws:
    """Numbers uniform in [0, 1) for the rows of a batch, each row's of its own seed alone.

    So what a network draws in training (dropout, say) is the same however rows share processes.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        mixed = [mix_seed(seed, 0, 0, 0) for seed in seeds]
        self.generators = [torch.Generator(self.device).manual_seed(seed) for seed in mixed]

    def __call__(self, row: int, *shape: int) -> Tensor:
        """The row's next numbers [*shape], float32."""
        generator = self.generators[row]
        return torch.rand(shape, generator=generator, device=self.device, dtype=torch.float32)

    def ones(self, row: int, share: float, *shape: int) -> Tensor:
        """[*shape] of 1 with probability `share`, else 0, from the row's next numbers."""
        drawn = torch.empty(shape, device=self.device, dtype=torch.float32)
        return drawn.bernoulli_(share, generator=self.generators[row])


class PositionalNoise:
    """Unit Gaussian noise [B, T]: row b, step k, sample t depends on (seeds[b], k, t) alone.

    So an utterance sounds the same alone, in a batch, on another device, or in chunks.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.seeds = tuple(seeds)
        self.device = torch.device(device)

    def __call__(self, step: int, length: int, start: int = 0) -> Tensor:
        """Noise of one step for samples start .. start + length, float32 [B, length]."""
        first = start // BLOCK
        last = -(-(start + length) // BLOCK)
        rows = [
            torch.cat([self._block(seed, step, block) for block in range(first, last)])
            for seed in self.seeds
        ]
        offset = start - first * BLOCK
        return torch.stack(rows)[:, offset : offset + length].to(self.device)

    @staticmethod
    def _block(seed: int, step: int, block: int) -> Tensor:
        generator = torch.Generator().manual_seed(mix_seed(seed, step, block))
        return torch.randn(BLOCK, generator=generator, dtype=torch.float32)
