"""A model that reads text, with a tiny network of random weights."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from wg.diffusion.process import TrainingSchedule
from wg.inference.model import Synthesis
from wg.inference.text_to_speech import TextToSpeech
from wg.mel.spec import MelSpec
from wg.models.wavegrad2 import WaveGrad2Config, WaveGrad2Network

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
SYNTHESIS = Synthesis("3", clip=1.0)


def tiny_speech(config: WaveGrad2Config = TINY) -> TextToSpeech:
    """Its symbols last some frames each; the same weights every time."""
    torch.manual_seed(0)
    network = WaveGrad2Network(config, SPEC)
    nn.init.normal_(network.decoder.out_conv.weight, std=0.1)
    # Durations of some frames, different for each symbol.
    nn.init.normal_(network.encoder.embedding.weight, std=3)
    nn.init.uniform_(network.duration.projection.weight, 0, 0.2)
    for bias in (network.duration.lstm.bias_hh_l1, network.duration.lstm.bias_hh_l1_reverse):
        nn.init.constant_(bias, 1.0)  # pyright: ignore[reportArgumentType]
    return TextToSpeech(network, config, SPEC, TrainingSchedule(), SYNTHESIS)
