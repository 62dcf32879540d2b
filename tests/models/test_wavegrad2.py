"""WaveGrad 2: sizes of its port, independence of utterances, windows, losses."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_speech import BY_A_MEL, BY_A_PITCH, THROUGH_A_MEL, TINY, VOICES
from torch import Tensor, nn

from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.mel.hub import named
from wg.models.pitch import Ripple, in_hertz, in_octaves
from wg.models.upsampling import places_of, sinusoid
from wg.models.wavegrad import Decoder, WaveGradNetwork
from wg.models.wavegrad2 import WaveGrad2Config, WaveGrad2Network, span_mask

SPEC = named("wavegrad-paper")
HOP, BANDS = SPEC.hop_length, SPEC.n_mels
LENGTHS = torch.tensor([6, 4])


def network(config: WaveGrad2Config) -> WaveGrad2Network:
    torch.manual_seed(0)
    built = WaveGrad2Network(config, SPEC).eval()
    for weight in built.decoder.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)  # zero would hide the rest
    for norm in built.encoder.norms:
        norm.running_mean.normal_()  # pyright: ignore[reportCallIssue]
    return built


def batch(**further: Tensor) -> dict[str, Tensor]:
    """Two utterances of six and four symbols, of 20 and 12 frames."""
    rows = torch.ones(2)
    durations = torch.tensor([[4, 0, 5, 3, 6, 2], [3, 3, 2, 4, 0, 0]])
    symbols = torch.tensor([[1, 9, 20, 31, 42, 3], [1, 33, 15, 3, 0, 0]])
    told = {"symbols": symbols, "symbol_lengths": LENGTHS, "durations": durations}
    return {**told, "pace": rows, "pitch_factor": rows, **further}


def alone(content: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    """One utterance of a batch, without padding."""
    return {
        name: value[row : row + 1, : LENGTHS[row]] if value.ndim == 2 else value[row : row + 1]
        for name, value in content.items()
    }


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_those_of_the_common_port() -> None:
    symbols = tuple(map(str, range(150)))
    config = WaveGrad2Config(
        encoder_channels=512, symbols=symbols, speaker_channels=64, speakers=("a", "b")
    )
    with torch.device("meta"):
        base = WaveGrad2Network(config, SPEC)
        large = WaveGrad2Network(WaveGrad2Config(up_repeats=2, dilations="large"), SPEC)
    assert count(base.encoder) == 5_590_528
    assert count(base.duration) + count(base.range) == 21_534_720
    assert count(base.decoder) == 16_953_185
    assert round(count(large) / 1e6) == 73


def test_the_decoder_is_wavegrads_network_given_other_features() -> None:
    config = replace(TINY, encoder_channels=BANDS)
    net, vocoder = network(config), WaveGradNetwork(config, SPEC)
    vocoder.load_state_dict(net.decoder.state_dict())
    spoken = net.condition(alone(batch(), 0))
    x, level = torch.randn(1, 20 * HOP), torch.tensor([0.6])
    expected = vocoder.denoise(x, level, vocoder.condition({"mel": spoken.features}))
    torch.testing.assert_close(net.denoise(x, level, spoken), expected)


@pytest.mark.parametrize("given", [True, False], ids=["reference", "predicted"])
def test_an_utterance_is_the_same_alone_and_in_a_padded_batch(given: bool) -> None:
    net = network(VOICES)
    nn.init.normal_(net.duration.projection.weight)
    both = batch(speaker=torch.tensor([0, 1]))
    if not given:
        both.pop("durations")
    together = net.condition(both)
    level = torch.full((2,), 0.4)
    x = torch.randn(2, int(together.frames.max()) * HOP)
    made = net.denoise(x, level, together)
    for row in range(2):
        single = net.condition(alone(both, row))
        samples = int(single.frames) * HOP
        assert int(single.frames) == int(together.frames[row])
        eps = net.denoise(x[row : row + 1, :samples], level[:1], single)
        torch.testing.assert_close(eps[0], made[row, :samples], atol=1e-4, rtol=1e-4)


def test_a_window_has_the_features_of_its_part_of_the_utterance() -> None:
    net = network(TINY)
    whole = net.condition(batch())
    start = torch.tensor([5, 4])
    window = net.condition(
        batch(window_start=start, mel=torch.zeros(2, BANDS, 10), frames=torch.tensor([10, 8]))
    )
    torch.testing.assert_close(window.features[0], whole.features[0, :, 5:15])
    torch.testing.assert_close(window.features[1, :, :8], whole.features[1, :, 4:12])


def test_a_pace_shortens_predicted_durations_and_keeps_given_ones() -> None:
    net = network(TINY)
    nn.init.constant_(net.duration.projection.weight, 0.1)
    free = batch()
    free.pop("durations")
    slow = net.condition({**free, "pace": torch.full((2,), 0.5)})
    fast = net.condition({**free, "pace": torch.full((2,), 2.0)})
    torch.testing.assert_close(slow.durations, 4 * fast.durations)
    told = net.condition(batch(pace=torch.full((2,), 2.0)))
    assert told.frames.tolist() == [20, 12]


def test_predicted_durations_are_never_negative_and_always_leave_a_frame() -> None:
    net = network(TINY)
    nn.init.zeros_(net.duration.projection.weight)
    free = batch()
    free.pop("durations")
    spoken = net.condition(free)
    assert not spoken.durations.any() and spoken.frames.tolist() == [1, 1]
    assert net.in_frames(torch.tensor([-1.0, 1e9])).tolist() == [0, 1000]


NAT = {  # Non-Attentive Tacotron's constants where ours are the ports'
    "encoder_activation": "none",
    "norm_decay": 0.999,
    "predictor_zoneout": 0.1,
    "position_channels": 4,
}


def test_non_attentive_tacotrons_constants_are_options() -> None:
    plain, net = network(TINY), network(replace(TINY, **NAT))
    assert [norm.momentum for norm in plain.encoder.norms] == [0.1] * 3  # pyright: ignore
    assert [norm.momentum for norm in net.encoder.norms] == [0.001] * 3  # pyright: ignore
    assert isinstance(net.decoder, Decoder) and isinstance(plain.decoder, Decoder)
    wider = net.decoder.mel_conv.weight.shape[1] - plain.decoder.mel_conv.weight.shape[1]
    assert wider == 4
    assert count(net.duration) == count(plain.duration) and count(net.range) == count(plain.range)
    level, x = torch.tensor([0.5, 0.5]), torch.randn(2, 20 * HOP)
    together = net.denoise(x, level, net.condition(batch()))
    single = net.condition(alone(batch(), 1))
    expected = net.denoise(x[1:, : 12 * HOP], level[1:], single)
    torch.testing.assert_close(together[1:, : 12 * HOP], expected, atol=1e-4, rtol=1e-4)
    features = net.encoder(batch()["symbols"], LENGTHS, torch.ones(2, 6, dtype=torch.bool))
    assert features.isfinite().all()


def test_a_predictor_with_zoneout_is_random_in_training_only() -> None:
    net = network(replace(TINY, predictor_zoneout=0.5))
    x = torch.randn(2, 6, net.config.encoder_channels)
    made = [net.duration(x, LENGTHS) for _ in range(2)]
    assert torch.equal(*made)
    net.duration.train()
    assert not torch.equal(net.duration(x, LENGTHS), net.duration(x, LENGTHS))


def test_a_frame_knows_its_place_in_its_symbol() -> None:
    durations = torch.tensor([[2.0, 0.0, 3.0, 1.0], [1.5, 2.0, 0.0, 0.0]])
    lengths, start = torch.tensor([4, 2]), torch.tensor([0, 1])
    got = places_of(durations, lengths, start, 6)
    assert got.tolist() == [[0, 1, 0, 1, 2, 0], [1, 0.5, 1.5, 2.5, 3.5, 4.5]]
    wave = sinusoid(got, 4)
    torch.testing.assert_close(
        wave[0, :, 4],
        torch.tensor([2.0, 0.02, 2.0, 0.02])
        .sin()
        .where(
            torch.tensor([True, True, False, False]), torch.tensor([2.0, 0.02, 2.0, 0.02]).cos()
        ),
    )


@pytest.mark.parametrize("domain", ["seconds", "log"])
def test_the_duration_loss_is_the_mean_squared_error_over_real_symbols(domain: Any) -> None:
    net = network(replace(TINY, duration_domain=domain))
    spoken = net.condition(batch())
    for row, found in enumerate(net.duration_loss(batch(), spoken).tolist()):
        squares = []
        for place in range(int(LENGTHS[row])):
            frames = int(batch()["durations"][row, place])
            true = math.log(frames + 1) if domain == "log" else frames * 300 / 24e3
            squares.append((spoken.predicted[row, place].item() - true) ** 2)
        assert found == pytest.approx(sum(squares) / len(squares), rel=1e-4)


def test_the_duration_loss_can_be_a_mean_over_all_symbols_of_the_batch() -> None:
    net = network(replace(TINY, duration_mean="symbols")).train()
    spoken = net.condition(batch())
    wanted = batch()["durations"] * 300 / 24e3
    errors = [
        (spoken.predicted[row, : LENGTHS[row]] - wanted[row, : LENGTHS[row]]) ** 2
        for row in range(2)
    ]
    found = net.duration_loss(batch(), spoken).mean()
    torch.testing.assert_close(found, torch.cat(errors).mean())
    found = net.eval().duration_loss(batch(), spoken)  # validation's: whatever else is in a batch
    torch.testing.assert_close(found, torch.stack([error.mean() for error in errors]))


@pytest.mark.parametrize("domain", ["seconds", "log"])
def test_durations_in_the_domain_of_the_loss_are_taken_back_to_frames(domain: Any) -> None:
    net = network(replace(TINY, duration_domain=domain))
    frames = torch.tensor([0.0, 1.0, 7.5, 40.0])
    given = frames.log1p() if domain == "log" else frames * 300 / 24e3
    torch.testing.assert_close(net.in_frames(given), frames)


def test_the_mel_loss_is_zero_for_the_mel_that_is_projected() -> None:
    net = network(replace(TINY, mel_weight=1.0))
    start = torch.tensor([5, 4])
    told = batch(window_start=start, mel=torch.zeros(2, BANDS, 10), frames=torch.tensor([10, 8]))
    spoken = net.condition(told)
    assert net.mel is not None
    mel = net.mel(spoken.features.transpose(1, 2)).transpose(1, 2)
    off = mel.clone()
    off[1, :, 8:] += 5  # padding
    off[1, :, :4] += 1
    losses = net.mel_loss({**told, "mel": off}, spoken)
    torch.testing.assert_close(losses, torch.tensor([0.0, 0.5]))


def test_the_loss_of_a_mel_of_convolutions_is_over_whole_utterances() -> None:
    net = network(BY_A_MEL)
    told = batch(window_start=torch.tensor([5, 4]), mel=torch.zeros(2, BANDS, 4))
    spoken = net.condition(told)
    assert spoken.mel is not None and spoken.mel.shape == (2, BANDS, 20)
    wanted = spoken.mel.detach().transpose(1, 2).clone()
    wanted[1, 12:] += 5  # padding
    wanted[1, :3] += 1
    losses = net.mel_loss({**told, "utterance_mel": wanted}, spoken)
    torch.testing.assert_close(losses, torch.tensor([0.0, 0.25]))


MEL_MODELS = {"wavegrad": BY_A_MEL, "spectral": THROUGH_A_MEL, "pitch": BY_A_PITCH}


@pytest.mark.parametrize("config", MEL_MODELS.values(), ids=MEL_MODELS)
def test_a_predicted_mel_is_the_same_alone_and_in_a_padded_batch(config: WaveGrad2Config) -> None:
    net = network(config)
    both = batch()
    together = net.condition(both).mel
    assert together is not None
    for row, frames in enumerate((20, 12)):
        single = net.condition(alone(both, row)).mel
        torch.testing.assert_close(single, together[row : row + 1, :, :frames])


@pytest.mark.parametrize("hertz", [110.0, 160.0, 230.0])
def test_ripples_are_those_of_a_buzz_of_that_pitch(hertz: float) -> None:
    samples = torch.arange(8000, dtype=torch.float64) / SPEC.sample_rate
    harmonics = torch.arange(1, int(SPEC.sample_rate / 2 / hertz))
    buzz = 0.01 * (2 * math.pi * hertz * harmonics[:, None] * samples).cos().sum(0)
    mel = log_mel(buzz, SPEC)[:, 12].float()
    low = slice(3, 40)  # bands narrower than harmonics are apart
    rippling = Ripple(SPEC)(torch.full((1, 1), hertz))[0, :, low, 0]
    level = torch.linspace(0, 1, 37).expand(2, -1)  # and their slope
    both = torch.cat([rippling, torch.ones(1, 37), level[:1]])
    fitted = torch.linalg.lstsq(both.T, mel[low, None]).solution
    left = mel[low] - (both.T @ fitted)[:, 0]
    assert float(left.var() / mel[low].var()) < 0.15
    assert float(fitted[0]) > 0.5
    # A tenth higher, they say nothing.
    other = torch.cat([Ripple(SPEC)(torch.full((1, 1), 1.1 * hertz))[0, :, low, 0], both[2:]])
    missed = mel[low] - (other.T @ torch.linalg.lstsq(other.T, mel[low, None]).solution)[:, 0]
    assert float(missed.var() / mel[low].var()) > 0.5


def test_nothing_ripples_without_a_voice() -> None:
    pitch = torch.tensor([[0.0, 200.0, 0.0]])
    rippling = Ripple(SPEC)(pitch)
    assert rippling.shape == (1, 2, BANDS, 3)
    assert not rippling[..., 0].any() and rippling[..., 1].any() and not rippling[..., 2].any()
    assert in_octaves(pitch).tolist() == [[0, 0, 0]]
    torch.testing.assert_close(in_hertz(in_octaves(torch.tensor(130.0))), torch.tensor(130.0))


def test_a_given_pitch_is_taken_and_a_predicted_one_can_be_raised() -> None:
    net = network(BY_A_PITCH)
    assert net.pitch is not None
    nn.init.constant_(net.pitch.leave.bias, 0.1)  # pyright: ignore[reportArgumentType]
    nn.init.zeros_(net.pitch.leave.weight)  # 200 Hz, an octave's tenth higher; voiced
    predicted = net.condition(batch())
    assert predicted.pitch is not None and predicted.mel is not None
    given = torch.full((2, 20), 200.0 * 2**0.1)
    torch.testing.assert_close(net.condition(batch(pitch=given)).mel, predicted.mel)
    raised = net.condition(batch(pitch_factor=torch.tensor([1.0, 1.5]))).mel
    assert raised is not None
    torch.testing.assert_close(raised[0], predicted.mel[0])
    assert not torch.allclose(raised[1], predicted.mel[1])
    given[1] *= 1.5
    torch.testing.assert_close(net.condition(batch(pitch=given)).mel, raised)
    unvoiced = net.condition(batch(pitch=torch.zeros(2, 20))).mel
    assert unvoiced is not None and not torch.allclose(unvoiced, predicted.mel)


def test_the_pitch_loss_is_of_octaves_where_voiced_and_of_voicing_everywhere() -> None:
    net = network(BY_A_PITCH)
    pitch = torch.full((2, 20), 200.0)
    pitch[:, ::2] = 0
    pitch[1, 12:] = 0  # padding
    spoken = net.condition(batch(pitch=pitch))
    sure = torch.where(pitch > 0, 50.0, -50.0)
    octaves = torch.where(pitch > 0, 0.5, 9.0)  # of unvoiced frames nobody asks
    octaves[1] = 0
    sure[1, 0] = 50.0
    said = spoken._replace(pitch=torch.stack([octaves, sure], 1))
    losses = net.pitch_loss({"pitch": pitch}, said)
    torch.testing.assert_close(losses, torch.tensor([0.25, 50 / 12]))


def test_masks_hide_spans_in_training_only() -> None:
    net = network(replace(TINY, mask_frames=6, mask_channels=3, dropout=0.0, zoneout=0.0))
    features = torch.ones(200, 8, 20)
    hidden = net.hide(features) == 0
    frames, channels = hidden.all(1).sum(1), hidden.all(2).sum(1)
    assert frames.max() == 6 and frames.min() == 0 and channels.max() == 3
    spoken = net.condition(alone(batch(), 0))
    expected = net.decoder.enter(spoken.features, None)
    torch.testing.assert_close(spoken.decoder.entered, expected.entered)


def test_a_masked_span_is_one_piece_and_lies_anywhere() -> None:
    torch.manual_seed(0)
    masks = span_mask(torch.ones(500, 2, 12), 2, 4)[:, 0]
    edges = (masks.diff(dim=1) != 0).sum(1) + (masks[:, 0] == 0) + (masks[:, -1] == 0)
    assert set(edges.tolist()) <= {0, 2}
    hidden = (masks == 0).float().mean(0)
    assert hidden.min() > 0.03  # the first and the last frame too


@pytest.mark.parametrize("further", [{}, {"mel_blocks": 2, "pitch_weight": 1.0}])
def test_training_reaches_every_weight(further: dict[str, Any]) -> None:
    net = network(replace(VOICES, mel_weight=1.0, **further)).train()
    told = batch(
        speaker=torch.tensor([0, 1]),
        window_start=torch.tensor([5, 2]),
        mel=torch.zeros(2, BANDS, 8),
        utterance_mel=torch.zeros(2, 20, BANDS),
        pitch=torch.full((2, 20), 150.0),
    )
    spoken = net.condition(told)
    eps = net.denoise(torch.randn(2, 8 * HOP), torch.full((2,), 0.5), spoken)
    loss = eps.square().sum() + net.duration_loss(told, spoken).sum()
    if further:
        loss = loss + net.pitch_loss(told, spoken).sum()
    (loss + net.mel_loss(told, spoken).sum()).backward()
    without = [name for name, weight in net.named_parameters() if weight.grad is None]
    assert not without


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"encoder_channels": 7}, "model.encoder_channels is 7"),
        ({"zoneout": 1.0}, "model.zoneout is 1.0"),
        ({"mask_frames": -1}, "model.mask_frames is -1"),
        ({"speakers": ("a",)}, "model.speaker_channels is 0"),
        ({"symbols": ("a", "a")}, "model.symbols names one of them twice"),
        ({"up_channels": (8, 8)}, "one DBlock less"),
        ({"mel_blocks": 2}, "model.mel_blocks is 2, but model.mel_weight is 0"),
        ({"mel_width": 0}, "model.mel_width is 0"),
        ({"decoder": "spectral"}, "model.decoder is spectral"),
        ({"pitch_weight": 1.0}, "model.pitch_weight is 1, but there is no predicted mel"),
    ],
)
def test_a_contradiction_names_its_key(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **wrong)


def test_a_network_of_several_speakers_needs_their_names() -> None:
    with pytest.raises(InputError, match=r"model.speakers is empty"):
        WaveGrad2Network(replace(TINY, speaker_channels=4), SPEC)
    with pytest.raises(InputError, match="'ana' is unknown; did you mean 'anna'"):
        VOICES.speaker_index("ana")
