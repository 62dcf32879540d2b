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
        return torch.randn(BLOCK, generator=generator)
