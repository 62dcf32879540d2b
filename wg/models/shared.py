"""What is counted over all processes that train together, on GPUs and CPUs."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, distributed, nn


def at_least_single(x: Tensor) -> Tensor:
    """A tensor [...] in float32, of float64 as it is: for what half precision would lose."""
    return x if x.dtype == torch.float64 else x.float()


class Summed(torch.autograd.Function):
    """Sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The sum of x [...] over all processes, the same to the bit in each."""
        total = x.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        """Gradient [...] of the sum of the processes' losses: the sum of their gradients."""
        return summed(grad_outputs[0])


def summed(x: Tensor) -> Tensor:
    """The sum of x [...] over all processes that train together, with its gradient."""
    return cast("Tensor", Summed.apply(x))


def process_count() -> int:
    """Processes that train together; 1 where there are no others."""
    together = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


class SharedNorm(nn.BatchNorm1d):
    """Batch norm whose statistics in training are those of the rows of all processes.

    torch's SyncBatchNorm knows no CPUs. Each process counts by its rows, of which it may have any
    number. One process alone, and evaluation, are `nn.BatchNorm1d` to the bit.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Rows [R, C] -> [R, C]."""
        if not self.training or process_count() == 1:
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            rows = at_least_single(input)
            first = summed(torch.cat([rows.sum(0), rows.new_full((1,), len(rows))]))
            count = first[-1].detach()
            mean = first[:-1] / count
            # Squares of what is centred already: their sum keeps its digits.
            variance = summed((rows - mean).square().sum(0)) / count
            normal = (rows - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias
            self._follow(mean.detach(), variance.detach() * count / (count - 1))
        return normal.to(input.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Running statistics, with the unbiased variance, as `nn.BatchNorm1d` has them."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.momentum is not None and self.num_batches_tracked is not None
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var), self.momentum)
        self.num_batches_tracked += 1


def share_of(count: Tensor) -> Tensor:
    """Mean of a count [] over all processes: its part of what they count together."""
    together = process_count()
    return count if together == 1 else summed(count) / together
