"""The LSTM with zoneout against plain loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from wg.models.zoneout import ZoneoutLSTM

LENGTHS = torch.tensor([7, 4])
HIDDEN = 3


def layer(zoneout: float) -> ZoneoutLSTM:
    torch.manual_seed(0)
    return ZoneoutLSTM(5, HIDDEN, zoneout)


def padded() -> Tensor:
    return torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(1))


def by_loops(lstm: ZoneoutLSTM, x: Tensor, kept: Tensor) -> Tensor:
    """An utterance, a direction and a step at a time; kept [2 states, N, 2 ways, B, H]."""
    weights = dict(lstm.named_parameters())
    out = torch.zeros(*x.shape[:2], 2 * HIDDEN)
    for row, length in enumerate(LENGTHS.tolist()):
        for way, suffix in enumerate(("", "_reverse")):
            cell = nn.LSTMCell(5, HIDDEN)
            cell.load_state_dict(
                {name: weights[f"{name}_l0{suffix}"] for name in cell.state_dict()}
            )
            places = range(length) if way == 0 else range(length - 1, -1, -1)
            h = c = torch.zeros(HIDDEN)
            for step, place in enumerate(places):
                next_h, next_c = cell(x[row, place], (h, c))
                keep_h, keep_c = kept[0, step, way, row], kept[1, step, way, row]
                h = keep_h * h + (1 - keep_h) * next_h
                c = keep_c * c + (1 - keep_c) * next_c
                out[row, place, way * HIDDEN : (way + 1) * HIDDEN] = h
    return out


def test_evaluation_takes_the_expectation_as_a_loop_does() -> None:
    lstm, x = layer(0.3).eval(), padded()
    kept = torch.full((2, 7, 2, 2, HIDDEN), 0.3)
    torch.testing.assert_close(lstm(x, LENGTHS), by_loops(lstm, x, kept))


def test_training_keeps_random_units_as_a_loop_does() -> None:
    lstm, x = layer(0.3).train(), padded()
    torch.manual_seed(5)
    made = lstm(x, LENGTHS)
    torch.manual_seed(5)
    kept = torch.full((2, 7, 2, 2, HIDDEN), 0.3).bernoulli()
    assert 0 < kept.mean() < 1
    torch.testing.assert_close(made, by_loops(lstm, x, kept))


def test_training_keeps_the_share_of_units_that_is_asked_for() -> None:
    torch.manual_seed(0)
    lstm = ZoneoutLSTM(5, 64, 0.25).train()
    ahead = lstm(torch.randn(4, 100, 5), torch.full((4,), 100))[..., :64]
    kept = (ahead[:, 1:] == ahead[:, :-1]).float().mean()
    assert kept.item() == pytest.approx(0.25, abs=0.02)


def test_without_zoneout_it_is_torchs_lstm() -> None:
    lstm, x = layer(0.0), padded()
    plain = nn.LSTM(5, HIDDEN, bidirectional=True, batch_first=True)
    plain.load_state_dict(lstm.state_dict())
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(plain(packed)[0], batch_first=True)
    torch.testing.assert_close(lstm(x, LENGTHS), expected)


def test_padding_and_neighbours_change_nothing() -> None:
    lstm, x = layer(0.1).eval(), padded()
    alone = lstm(x[1:, :4], LENGTHS[1:])
    torch.testing.assert_close(lstm(x, LENGTHS)[1:, :4], alone)
    assert not lstm(x, LENGTHS)[1, 4:].any()
