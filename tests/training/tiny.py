"""A tiny experiment and dump for tests of training."""

from pathlib import Path

import torch

from wg.config import Experiment, compose
from wg.data.dump import Dump, write_shard
from wg.data.index import Utterance
from wg.mel.extract import log_mel
from wg.models import config_class

CONTENT = {
    "corpus": {"name": "tiny"},
    "mel": {
        "sample_rate": 8000,
        "n_fft": 256,
        "win_length": 256,
        "hop_length": 64,
        "framing": "hop",
        "n_mels": 10,
    },
    "model": {
        "name": "wavegrad",
        "mel_channels": 8,
        "up_channels": [8, 8, 8, 4, 4],
        "wave_channels": 4,
        "down_channels": [4, 4, 8, 8],
    },
    "train": {
        "segment_samples": 512,
        "batch_size": 4,
        "max_steps": 8,
        "valid_every": 4,
        "valid_levels": 3,
        "learning_rate": 1e-3,
        "ema": 0.9,
        "workers": 0,
        "log_every": 2,
        "sample_every": 0,
    },
    "decode": {"schedule": "2"},
}


def experiment(**sections: dict) -> Experiment:
    """The tiny experiment with some keys changed."""
    further = [(section, {section: values}) for section, values in sections.items()]
    return compose([("tiny", CONTENT), *further], config_class)


def dumps(folder: Path) -> tuple[Dump, Dump]:
    """Training and validation dumps of harmonic tones in noise."""
    spec = experiment().mel
    made = []
    for split, count in (("train", 6), ("valid", 2)):
        clips = []
        for i in range(count):
            generator = torch.Generator().manual_seed(len(split) + i)
            time = torch.arange(1500 + 100 * i) / 8000
            audio = 0.3 * torch.sin(2 * torch.pi * (200 + 30 * i) * time)
            audio += 0.02 * torch.randn(len(audio), generator=generator)
            mel = log_mel(audio, spec)
            entry = Utterance(
                f"{split}-{i}", len(audio), mel.shape[1], speaker=("anna", "bert")[i % 2]
            )
            clips.append((entry, audio, mel))
        write_shard(folder / split / "shard-00000.safetensors", clips, spec, "tiny")
        made.append(Dump(folder / split))
    return made[0], made[1]
