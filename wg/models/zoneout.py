"""A bidirectional LSTM layer with zoneout, which cuDNN's has not.

Shapes: B batch, N symbols, C input channels, H hidden units of a direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wg.diffusion.noise import RowDraws
from wg.models.shared import at_least_single

WAYS = ("", "_reverse")  # endings of the names of parameters
Weights = dict[str, Tensor]


class ZoneoutLSTM(nn.LSTM):
    """Bidirectional LSTM whose units may keep their state (Krueger et al., 1606.01305).

    For both states s of {h, c}, with s' what a plain LSTM would go on to:

    - in training, s_t = m s_{t-1} + (1 - m) s'_t, with m ~ Bernoulli(p) for each unit and step;
    - in evaluation, its expectation s_t = p s_{t-1} + (1 - p) s'_t.

    Parameters, and their names, are those of `nn.LSTM`.
    """

    def __init__(self, c_in: int, hidden: int, zoneout: float) -> None:
        super().__init__(c_in, hidden, bidirectional=True)
        self.zoneout = zoneout

    def forward(  # pyright: ignore
        self, x: Tensor, lengths: Tensor, draws: RowDraws | None = None
    ) -> Tensor:
        """x [B, N, C], the first `lengths` [B] steps real -> [B, N, 2 H], zero beyond them.

        `draws`: what chooses the units that are kept in training; None: torch's own generator.
        """
        if not self.zoneout and x.device.type == "cpu":
            return torchs_layer(self, 0, x, lengths)

        def recurred(seen: Tensor, turned: Tensor, given: Weights) -> Iterable[Tensor]:
            return self._recurred(seen, turned, given, self._kept(seen, lengths, draws))

        return both_ways(self, x, lengths, recurred)

    def _kept(self, x: Tensor, lengths: Tensor, draws: RowDraws | None) -> Tensor:
        """How much of each unit of h and c stays: [2, N, 2, B, H]."""
        size = (2, x.shape[1], 2, x.shape[0], self.hidden_size)
        # All random choices in one draw.
        kept = torch.full(size, self.zoneout, device=x.device, dtype=x.dtype)
        if not self.training:
            return kept
        if draws is None:
            return kept.bernoulli()
        if not self.zoneout:
            return kept
        # Only the real steps' are of consequence, and a row has as many in any batch.
        rows = [
            F.pad(
                draws.ones(row, self.zoneout, 2, steps, 2, self.hidden_size),
                (0, 0, 0, 0, 0, x.shape[1] - steps),
            )
            for row, steps in enumerate(lengths.tolist())
        ]
        return torch.stack(rows, 3).to(kept)

    def _recurred(self, x: Tensor, turned: Tensor, given: Weights, kept: Tensor) -> Tensor:
        """Both directions, [2, B, N, H], of x and of what is `turned`."""
        gates = torch.stack(
            [
                F.linear(
                    seen,
                    given[f"weight_ih_l0{way}"],
                    given[f"bias_ih_l0{way}"] + given[f"bias_hh_l0{way}"],
                )
                for seen, way in zip((x, turned), WAYS, strict=True)
            ]
        )  # [2, B, N, 4 H]
        weight = torch.stack([given[f"weight_hh_l0{way}"] for way in WAYS]).transpose(1, 2)
        return self._recur(gates.permute(2, 0, 1, 3), weight, kept).permute(1, 2, 0, 3)

    def _recur(self, gates: Tensor, weight: Tensor, kept: Tensor) -> Tensor:
        """Both directions at once, a step after another: [N, 2, B, 4 H] -> h [N, 2, B, H]."""
        h = c = gates.new_zeros(*gates.shape[1:-1], self.hidden_size)
        made = []
        for given, kept_h, kept_c in zip(gates, *kept, strict=True):
            enter, forget, new, out = torch.baddbmm(given, h, weight).chunk(4, -1)
            next_c = torch.addcmul(forget.sigmoid() * c, enter.sigmoid(), new.tanh())
            next_h = out.sigmoid() * next_c.tanh()
            h, c = torch.lerp(next_h, h, kept_h), torch.lerp(next_c, c, kept_c)
            made.append(h)
        return torch.stack(made)


def torchs_layer(lstm: nn.LSTM, layer: int, x: Tensor, lengths: Tensor) -> Tensor:
    """A bidirectional layer, x [B, N, C], `lengths` [B] -> [B, N, 2 H], zero beyond them.

    A direction after the other, since oneDNN, with which a CPU is several times as fast, takes no
    packed sequences.
    """

    def recurred(x: Tensor, turned: Tensor, given: Weights) -> Iterable[Tensor]:
        start = x.new_zeros(1, len(x), lstm.hidden_size)
        for seen, way in zip((x, turned), WAYS, strict=True):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [given[f"{name}_l{layer}{way}"] for name in names]
            rest = (True, 1, 0.0, lstm.training, False, True)  # biases, layers ... batch first
            yield torch.lstm(seen, (start, start), weights, *rest)[0]

    return both_ways(lstm, x, lengths, recurred)


def both_ways(
    lstm: nn.LSTM,
    x: Tensor,
    lengths: Tensor,
    recurred: Callable[[Tensor, Tensor, Weights], Iterable[Tensor]],
) -> Tensor:
    """Both directions of x [B, N, C], `lengths` [B] -> [B, N, 2 H], zero beyond them.

    `recurred` makes [B, N, H] of x and of x turned, with the layer's weights. All in float32 at
    least: a recurrence in half precision loses what it should keep.
    """
    given = {name: at_least_single(weight) for name, weight in lstm.named_parameters()}
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(next(iter(given.values())))
        steps = torch.arange(x.shape[1], device=x.device)
        real = steps < lengths[:, None]
        # The real steps backwards, then the padding: it follows the real steps both ways.
        turn = torch.where(real, lengths[:, None] - 1 - steps, steps)[..., None]
        ahead, back = recurred(x, x.gather(1, turn.expand_as(x)), given)
        both = torch.cat([ahead, back.gather(1, turn.expand_as(back))], -1) * real[..., None]
        return both.to(next(lstm.parameters()))
