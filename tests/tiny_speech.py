"""A model that reads text, with a tiny network of random weights."""

from __future__ import annotations

from dataclasses import replace

import torch
from tiny_vocoder import BY_MEL, SPECTRAL, give_power
from torch import nn

from wg.diffusion.consistency import Consistency
from wg.diffusion.process import DiffusionConfig
from wg.inference.model import SamplingConfig
from wg.inference.text_to_speech import TextToSpeech
from wg.mel.spec import MelSpec
from wg.models import build_network
from wg.models.wavegrad2 import MelPredictor, WaveGrad2Config, WaveGrad2Network

SPEC = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, framing="hop", n_mels=10)
TINY = WaveGrad2Config(
    encoder_channels=8,
    predictor_channels=4,
    mel_channels=8,
    up_channels=(8, 8, 8, 4, 4),
    wave_channels=4,
    down_channels=(4, 4, 8, 8),
)
VOICES = replace(TINY, speaker_channels=4, speakers=("anna", "bert"))
BY_A_MEL = replace(TINY, mel_weight=1.0, mel_blocks=2, mel_width=8)  # which it predicts
THROUGH_A_MEL = replace(BY_A_MEL, decoder="spectral", spectral=SPECTRAL)
BY_A_PITCH = replace(THROUGH_A_MEL, pitch_weight=1.0)
SYNTHESIS = SamplingConfig("3", clip=1.0)
CONSISTENT = SamplingConfig("3", clip=1.0, consistency=Consistency(2))


def tiny_speech(config: WaveGrad2Config = TINY) -> TextToSpeech:
    """Its symbols last some frames each; the same weights every time."""
    torch.manual_seed(0)
    diffusion = BY_MEL if config.gives_mel else DiffusionConfig()
    network = build_network(config, SPEC, diffusion)
    assert isinstance(network, WaveGrad2Network)
    for parameter in network.decoder.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    give_power(network)
    if isinstance(network.mel, MelPredictor):
        bias = network.mel.leave.bias
        assert bias is not None
        nn.init.constant_(bias[: SPEC.n_mels], -4.0)
        nn.init.constant_(bias[SPEC.n_mels :], 0.1)  # of the ripples, where there is a pitch
    if network.pitch is not None:
        nn.init.constant_(network.pitch.leave.bias, 1.0)  # pyright: ignore[reportArgumentType]
    # Durations of some frames, different for each symbol.
    nn.init.normal_(network.encoder.embedding.weight, std=3)
    nn.init.uniform_(network.duration.projection.weight, 0, 0.2)
    for bias in (network.duration.lstm.bias_hh_l1, network.duration.lstm.bias_hh_l1_reverse):
        nn.init.constant_(bias, 1.0)  # pyright: ignore[reportArgumentType]
    synthesis = CONSISTENT if config.gives_mel else SYNTHESIS
    return TextToSpeech(network, config, SPEC, diffusion, synthesis)
