"""SpeechBrain's DiffWave: the state dict of its network alone (diffwave.ckpt), lmnt's layout.

`--config` reads the plain settings of its train.yaml. Its mel is Tacotron 2's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wg.diffusion.process import TrainingSchedule
from wg.interop.imported import Imported
from wg.interop.lmnt_diffwave import network_of
from wg.interop.reading import state_of
from wg.mel.hub import named
from wg.vocoder import Synthesis

DEFAULTS = {
    "dilation_cycle_length": 10,
    "train_timesteps": 50,
    "beta_start": 1e-4,
    "beta_end": 0.05,
    "audio_len": 110_250,
}
MEL = {
    "sample_rate": "sample_rate",
    "spec_n_fft": "n_fft",
    "spec_f_min": "fmin",
    "spec_f_max": "fmax",
    "spec_hop_length": "hop_length",
    "spec_win_length": "win_length",
}


def read(path: Path, content: Any, config: Mapping[str, Any]) -> Imported:
    """The model."""
    settings = {**DEFAULTS, **config}
    state = state_of(path, content, ("model",))
    model, weights, unmapped = network_of(state, settings["dilation_cycle_length"])
    spec = named("tacotron2")
    changes = {ours: config[theirs] for theirs, ours in MEL.items() if theirs in config}
    if model.conditions == "mel":
        changes["n_mels"] = weights["layers.0.condition.weight"].shape[1]
    return Imported(
        model=model,
        mel=replace(spec, **changes),
        diffusion=TrainingSchedule(
            settings["beta_start"], settings["beta_end"], settings["train_timesteps"], "discrete"
        ),
        synthesis=Synthesis(
            "diffwave-fast-base" if settings["beta_end"] > 0.04 else "50",
            clip=1.0,
            samples=None if model.conditions == "mel" else settings["audio_len"],
        ),
        weights=weights,
        unmapped=unmapped,
    )
