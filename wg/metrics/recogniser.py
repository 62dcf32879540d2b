"""Speech recognisers whose weights are on this machine, by name: nothing is downloaded here.

- `moonshine`: the package moonshine-voice brings Moonshine tiny (English) up to version 0.1.0.
- `pocketsphinx`: the package brings its model; words of a dictionary by a triphone HMM.
- `faster-whisper:FOLDER`: a Whisper model in CTranslate2's format, in a folder of yours.
- torchaudio's CTC bundles (`WAV2VEC2_ASR_BASE_960H` ...): where torch.hub has their weights.

Error rates compare only between the same recogniser.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wg.errors import InputError, nearest
from wg.metrics.perceptual import WIDE, resample
from wg.text.normalise import normalise

BLANK, SPACE = "-", "|"  # of the CTC labels
MOONSHINE = "moonshine"
SPHINX = "pocketsphinx"
STAND_INS = (MOONSHINE, SPHINX)  # for the default one; the best first
WHISPER = "faster-whisper"
DEFAULT = "WAV2VEC2_ASR_BASE_960H"
PAUSE = 4800  # samples of silence around it: a voice detector may cut a first word
Recogniser = Callable[[np.ndarray, int], str]  # a waveform [T] and its rate in Hz to `letters`


class RecogniserMissing(InputError):
    """A recogniser's package or weights are not on this machine."""


class Ctc:
    """A CTC model's best path, without a dictionary or language model."""

    def __init__(self, model: torch.nn.Module, labels: tuple[str, ...], sample_rate: int) -> None:
        self.model, self.labels, self.sample_rate = model, labels, sample_rate

    @classmethod
    def load(cls, name: str) -> Ctc:
        """A bundle of torchaudio.pipelines; InputError for a name that it has not."""
        from torchaudio import pipelines

        bundles = [key for key in vars(pipelines) if "_ASR_" in key]
        if name not in bundles:
            known = (*bundles, *STAND_INS, f"{WHISPER}:FOLDER")
            raise InputError(f"recogniser {name!r} is unknown; {nearest(name, known)}")
        bundle: Any = vars(pipelines)[name]
        weights = Path(torch.hub.get_dir()) / "checkpoints" / bundle._path
        if not weights.is_file():
            raise RecogniserMissing(
                f"the weights of {name} are not at {weights}; put them there: "
                f"https://download.pytorch.org/torchaudio/models/{bundle._path}"
            )
        return cls(bundle.get_model(), bundle.get_labels(), bundle.sample_rate)

    @torch.inference_mode()
    def __call__(self, wave: np.ndarray, rate: int) -> str:
        """What is heard in a waveform."""
        audio = torch.from_numpy(resample(wave, rate, self.sample_rate)).float()
        emission = self.model(audio[None])[0][0]  # [frames, labels]
        best = emission.argmax(-1).unique_consecutive().tolist()
        heard = "".join(self.labels[place] for place in best if self.labels[place] != BLANK)
        return letters(heard.replace(SPACE, " "))


class Moonshine:
    """Moonshine tiny (2410.15608) by moonshine-voice, with the English weights of its package."""

    def __init__(self) -> None:
        needs_package("moonshine_voice", "recognise")
        from moonshine_voice import (  # pyright: ignore[reportMissingImports]
            ModelArch,
            Transcriber,
            get_model_path,
        )

        folder = get_model_path("tiny-en")
        if not (folder / "encoder_model.ort").is_file():
            raise RecogniserMissing(
                "this version of moonshine-voice brings no weights; run "
                "pip install 'moonshine-voice<=0.1.0'"
            )
        # One for each waveform: what it hears depends on what the same one heard before,
        # and even so a word may differ from one call to the next.
        self.transcriber: Callable[[], Any] = lambda: Transcriber(folder, ModelArch.TINY)

    def __call__(self, wave: np.ndarray, rate: int) -> str:
        """What is heard in a waveform, its numbers as words."""
        audio = np.pad(resample(wave, rate, WIDE).astype(np.float32), PAUSE)
        lines = self.transcriber().transcribe_without_streaming(audio.tolist(), WIDE).lines
        return letters(normalise(" ".join(line.text for line in lines)))


class Sphinx:
    """CMU PocketSphinx with the US English model of its package."""

    def __init__(self) -> None:
        needs_package(SPHINX, "recognise")
        from pocketsphinx import Decoder  # pyright: ignore[reportMissingImports]

        self.decoder: Any = Decoder(samprate=WIDE, loglevel="FATAL")

    def __call__(self, wave: np.ndarray, rate: int) -> str:
        """What is heard in a waveform, whatever was heard before it."""
        audio = np.clip(resample(wave, rate, WIDE), -1, 1)
        self.decoder.reinit_feat()  # or it goes on with the means and the noise of the last one
        self.decoder.start_utt()
        self.decoder.process_raw((audio * 32767).astype("<i2").tobytes(), full_utt=True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        return "" if found is None else letters(found.hypstr)


class Whisper:
    """Whisper by faster-whisper, from a folder with `model.bin`: English, greedy, no context."""

    def __init__(self, folder: Path) -> None:
        needs_package("faster_whisper", "whisper")
        for name in ("model.bin", "config.json", "tokenizer.json"):
            if not (folder / name).is_file():
                raise RecogniserMissing(
                    f"{WHISPER}: {folder / name}: no such file; give the folder of a model in "
                    f"CTranslate2's format, {WHISPER}:FOLDER"
                )
        from faster_whisper import WhisperModel  # pyright: ignore[reportMissingImports]

        self.model: Any = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )

    def __call__(self, wave: np.ndarray, rate: int) -> str:
        """What is heard in a waveform, its numbers as words."""
        audio = resample(wave, rate, WIDE).astype(np.float32)
        parts, _ = self.model.transcribe(
            audio, language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False
        )
        return letters(normalise(" ".join(part.text for part in parts)))


def needs_package(module: str, extra: str) -> None:
    """RecogniserMissing unless a recogniser's package is installed."""
    if importlib.util.find_spec(module) is None:
        name = module.replace("_", "-")
        raise RecogniserMissing(
            f"the package {name} is not installed; run pip install 'wg[{extra}]'"
        )


@lru_cache(maxsize=2)
def load_recogniser(name: str) -> Recogniser:
    """The recogniser of a name; RecogniserMissing where it cannot run here."""
    kind, _, folder = name.partition(":")
    if kind == MOONSHINE:
        return Moonshine()
    if kind == SPHINX:
        return Sphinx()
    return Whisper(Path(folder)) if kind == WHISPER else Ctc.load(name)


def choose_recogniser(name: str) -> tuple[str | None, list[str]]:
    """The name of a recogniser that can run here, None for none; and what is to be said of it.

    Where the default one lacks, the first of the stand-ins that is installed takes its place.
    """
    reasons = []
    for candidate in (name, *STAND_INS) if name == DEFAULT else (name,):
        try:
            load_recogniser(candidate)
        except RecogniserMissing as reason:
            reasons.append(str(reason))
        else:
            stands = [f"heard by {candidate}, since {'; '.join(reasons)}"] if reasons else []
            return candidate, stands
    return None, [f"no error rates of words and characters: {'; '.join(reasons)}"]


def letters(text: str) -> str:
    """A text as a recogniser would write it: A to Z, apostrophes and single spaces."""
    return " ".join(re.sub("[^A-Z' ]", " ", text.upper()).split())


def spoken_letters(text: str) -> str:
    """The same of a text to be read, numbers as words."""
    return letters(normalise(text))
