"""A speech recogniser of torchaudio, where its weights are on disk: nothing is downloaded here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wg.errors import InputError, nearest

BLANK, SPACE = "-", "|"  # of the CTC labels


class WeightsMissing(InputError):
    """The recogniser's weights are not on disk."""


class Recogniser:
    """Waveforms to upper-case letters by a CTC model's best path."""

    def __init__(self, model: torch.nn.Module, labels: tuple[str, ...], sample_rate: int) -> None:
        self.model, self.labels, self.sample_rate = model, labels, sample_rate

    @classmethod
    def load(cls, name: str) -> Recogniser:
        """A bundle of torchaudio.pipelines; InputError for a name that it has not."""
        from torchaudio import pipelines

        bundles = [key for key in vars(pipelines) if "_ASR_" in key]
        if name not in bundles:
            raise InputError(f"score.recogniser {name!r} is unknown; {nearest(name, bundles)}")
        bundle: Any = vars(pipelines)[name]
        weights = Path(torch.hub.get_dir()) / "checkpoints" / bundle._path
        if not weights.is_file():
            raise WeightsMissing(
                f"the weights of {name} are not at {weights}; put them there: "
                f"https://download.pytorch.org/torchaudio/models/{bundle._path}"
            )
        return cls(bundle.get_model(), bundle.get_labels(), bundle.sample_rate)

    @torch.inference_mode()
    def __call__(self, wave: np.ndarray, rate: int) -> str:
        """What is heard in a waveform [T]: letters, apostrophes and single spaces."""
        from torchaudio.functional import resample

        audio = resample(torch.from_numpy(wave), rate, self.sample_rate)
        emission = self.model(audio[None])[0][0]  # [frames, labels]
        best = emission.argmax(-1).unique_consecutive().tolist()
        heard = "".join(self.labels[place] for place in best if self.labels[place] != BLANK)
        return letters(heard.replace(SPACE, " "))


def letters(text: str) -> str:
    """A text as a recogniser would write it: A to Z, apostrophes and single spaces."""
    return " ".join(re.sub("[^A-Z' ]", " ", text.upper()).split())
