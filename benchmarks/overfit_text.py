"""Overfitting real utterances with a model that reads text: durations, and what is heard.

`python benchmarks/overfit_text.py RECIPE CONF WORK ID,ID [section.key=value ...]` trains the
recipe's experiment on these utterances of the training split alone, whose features and phonemes
stages 1 to 3 left below WORK. Then it speaks their texts with predicted durations, and prints the
mean absolute error of those in frames, and scores after alignment. Spectrograms of recording and
speech are left below WORK as overfit-ID.png.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from wg.config import load_experiment
from wg.data.dump import Dump, write_shard
from wg.data.speech import SpokenDump
from wg.errors import InputError
from wg.inference.checkpoint import find_checkpoint, model_from_checkpoint
from wg.inference.text_to_speech import Sentence, TextToSpeech, Voice
from wg.metrics import score
from wg.metrics.spoken import duration_mae
from wg.models import config_class
from wg.pictures import spectrogram_pair
from wg.processes.devices import Devices
from wg.tasks.context import Context, features_of, phonemes_of
from wg.tasks.text_to_speech import TextToSpeechTask
from wg.training.modules import build_module
from wg.training.trainer import fit

METRICS = ("mcd_dtw", "f0_rmse_cents_dtw", "vde_dtw")


def only(dump: Dump, names: list[str], folder: Path) -> Path:
    """A folder with the features of these utterances alone."""
    places = {entry.id: index for index, entry in enumerate(dump.utterances)}
    if missing := [name for name in names if name not in places]:
        raise InputError(f"{dump.folder}: no utterance {missing[0]!r}")
    clips = [
        (dump.utterances[places[name]], dump.audio(places[name]), dump.mel(places[name]))
        for name in names
    ]
    write_shard(folder / "shard-00000.safetensors", clips, dump.spec, "")
    return folder


def main() -> None:
    """Trains, speaks and prints the scores at several step counts."""
    recipe, conf, work, names, *overrides = sys.argv[1:]
    asked = load_experiment(Path(recipe), conf, overrides, config_class)
    task = TextToSpeechTask()
    context = task.resolved(Context(Path(recipe), Path(work), conf, asked, Devices(), jobs=1))
    experiment, phonemes = context.experiment, phonemes_of(context, "train")
    with tempfile.TemporaryDirectory() as scratch:
        folder = only(features_of(context, "train"), names.split(","), Path(scratch) / "dump")
        dump = SpokenDump(folder, phonemes, experiment.model)
        torch.manual_seed(experiment.train.seed)
        started = time.monotonic()
        fit(experiment, build_module(experiment), (dump, dump), Path(scratch), Devices())
        print(f"trained for {time.monotonic() - started:.0f} s")
        best = find_checkpoint(Path(scratch), "best")
        model = model_from_checkpoint(TextToSpeech, best, experiment)
        rate = dump.spec.sample_rate
        for index, entry in enumerate(dump.utterances):
            speaker = entry.speaker if experiment.model.speakers else None
            utterance = Sentence(phonemes[entry.id].symbols, Voice(speaker))
            recording = dump.recording(index)
            for schedule in ("12", "25", "50"):
                (speech,) = model.utter([utterance], model.synthesis.with_schedule(schedule))
                scores = score(recording.numpy(), speech.wave.numpy(), rate, METRICS)
                print(entry.id, schedule, {k: round(v, 3) for k, v in scores.items()}, flush=True)
            given = np.array(phonemes[entry.id].durations)
            error = duration_mae(given, speech.durations.numpy())
            lengths = len(speech.wave) / rate, len(recording) / rate
            print(entry.id, f"durations off by {error:.2f} frames (mean absolute)", end="; ")
            print(f"{lengths[0]:.2f} s for {lengths[1]:.2f} s", flush=True)
            picture = Path(work) / f"overfit-{entry.id}.png"
            spectrogram_pair(recording, speech.wave, rate, picture)


if __name__ == "__main__":
    main()
