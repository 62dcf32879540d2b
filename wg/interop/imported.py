"""What an importer gives, and the folder that it becomes; the formats by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from wg.diffusion.process import DiffusionConfig
from wg.errors import InputError, nearest
from wg.inference.generator import Generator
from wg.inference.kinds import kind_of
from wg.inference.model import SamplingConfig
from wg.inference.text_to_speech import TextToSpeech
from wg.inference.vocoder import Vocoder
from wg.interop.reading import read_checkpoint, read_config
from wg.mel.spec import MelSpec
from wg.models import build_network


@dataclass(frozen=True)
class Imported:
    """A foreign model in our terms."""

    model: Any  # a `ModelConfig`, of the network that the format has
    mel: MelSpec
    diffusion: DiffusionConfig
    synthesis: SamplingConfig
    weights: Mapping[str, Tensor]
    unmapped: list[str]  # their weights that ours has no place for
    guessed: Mapping[str, str] = field(default_factory=dict)  # what no file of theirs says
    notes: tuple[str, ...] = ()  # what a user should know, a line each

    def build(self) -> Vocoder | TextToSpeech | Generator:
        """The vocoder, or what speaks or generates with a model that takes no mel."""
        self.model.check(self.mel)
        network = build_network(self.model, self.mel, self.diffusion)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"the weights are of another architecture: {reason}") from None
        kind = kind_of(self.model)
        return kind(network, self.model, self.mel, self.diffusion, self.synthesis)


Importer = Callable[[Path, Any, Mapping[str, Any]], Imported]  # of (path, content, config)

FORMATS: dict[str, str] = {
    "lmnt-wavegrad": "wg.interop.lmnt_wavegrad",
    "lmnt-diffwave": "wg.interop.lmnt_diffwave",
    "ivanvovk-wavegrad": "wg.interop.ivanvovk_wavegrad",
    "keonlee-wavegrad2": "wg.interop.keonlee_wavegrad2",
    "mindslab-wavegrad2": "wg.interop.mindslab_wavegrad2",
    "coqui-wavegrad": "wg.interop.coqui_wavegrad",
    "philsyn-diffwave": "wg.interop.philsyn_diffwave",
    "speechbrain-diffwave": "wg.interop.speechbrain_diffwave",
}


def read_foreign(
    name: str, path: Path, config: Path | None = None, trust: bool = False
) -> Imported:
    """A checkpoint of the format `name`, with the project's own config file if there is one."""
    if name not in FORMATS:
        raise InputError(f"format {name!r} is unknown; {nearest(name, FORMATS)}")
    importer: Importer = vars(importlib.import_module(FORMATS[name]))["read"]
    settings = read_config(config)
    content = read_checkpoint(path, trust)
    try:
        return importer(path, content, settings)
    except InputError as error:
        prefix = "" if str(error).startswith(str(path)) else f"{path}: "
        raise InputError(f"{prefix}{error}") from None
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise InputError(f"{path}: not a checkpoint of {name} ({error!r})") from None
