"""Models that read text: texts spoken, their durations and words against the recordings.

What is spoken, and how long each symbol lasts, is what stage phonemes left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from wg.config import Experiment
from wg.data.dump import Dump
from wg.data.speech import SpokenDump, speakers_of
from wg.diffusion.consistency import check_invertible
from wg.diffusion.noise import seed_of
from wg.errors import InputError
from wg.inference.text_to_speech import Sentence, TextToSpeech, Voice
from wg.metrics import METRICS
from wg.metrics.recogniser import load_recogniser
from wg.models.network import TextConfig
from wg.report.page import PageContent
from wg.tasks.context import Context, features_of, phonemes_of
from wg.tasks.speech_scores import find_recogniser, score_durations, score_letters
from wg.tasks.task import Piece, Task
from wg.tasks.waveforms import content_of, score_waves, shown


@dataclass(frozen=True)
class Text:
    """An utterance to speak; its voice has the seed."""

    id: str
    utterance: Sentence

    @property
    def seed(self) -> int:
        """Seed of its noise, that of its voice."""
        return self.utterance.voice.seed


def text_config(context: Context) -> TextConfig:
    """The configuration of a run's model."""
    return cast("TextConfig", context.experiment.model)


class TextToSpeechTask(Task[TextToSpeech, Text]):
    """Models that read text: waveforms from phonemes, of predicted or of given durations."""

    model = TextToSpeech
    folder = "speech"
    card = "speech.md"
    needs = ("phonemes",)

    def resolved(self, context: Context) -> Context:
        """The run, its model knowing the speakers of the training split if it knows any."""
        model = text_config(context)
        if not model.speaker_channels or model.speakers:
            return context
        known = replace(model, speakers=speakers_of(features_of(context, "train")))
        return replace(context, experiment=replace(context.experiment, model=known))

    def dump(self, context: Context, split: str) -> Dump:
        """The features of a split with what is spoken; InputError for a speaker not known."""
        folder = features_of(context, split).folder
        return SpokenDump(folder, phonemes_of(context, split), text_config(context))

    def check_consistency(self, experiment: Experiment) -> None:
        """InputError unless the model predicts a mel that waveforms can be made to agree with."""
        if not experiment.model.gives_mel:
            super().check_consistency(experiment)
        check_invertible(experiment.mel)

    def check_training(self, context: Context) -> None:
        """InputError for symbols and speakers that decoding would refuse after all the training."""
        self.dump(context, "test")

    def check_score(self, context: Context) -> None:
        """InputError, too, for metrics of one timing where the model has a timing of its own."""
        super().check_score(context)
        for name in context.experiment.score.metrics if own_timing(context) else ():
            if not METRICS[name].warped:
                warped = ", ".join(metric.name for metric in METRICS.values() if metric.warped)
                raise InputError(
                    f"score.metrics: {name!r} compares speech of one timing; choose from {warped}, "
                    "or set decode.durations=reference"
                )

    def items(self, context: Context) -> list[Text]:
        """The texts of the split, each with its symbols, its speaker and a seed of its own."""
        decode, model = context.experiment.decode, text_config(context)
        phonemes = phonemes_of(context, decode.split)
        found = []
        # A SpokenDump, for its checks: before any work, all texts have symbols and known speakers.
        for entry in self.dump(context, decode.split).utterances[: decode.limit]:
            spoken = phonemes[entry.id]
            speaker = entry.speaker if model.speakers else None
            voice = Voice(speaker, seed=seed_of(entry.id, decode.seed))
            durations = spoken.durations if decode.durations == "reference" else None
            found.append(Text(entry.id, Sentence(spoken.symbols, voice, durations)))
        return found

    def prepare(self, model: TextToSpeech, items: Sequence[Text]) -> Callable[[], list[Piece]]:
        """One batch; its record says speaker, symbols and their durations in frames."""

        def synthesise() -> list[Piece]:
            spoken = model.utter([item.utterance for item in items])
            return [
                Piece(
                    speech.wave,
                    {
                        "speaker": item.utterance.voice.speaker,
                        "symbols": list(item.utterance.symbols),
                        "durations": [round(value, 3) for value in speech.durations.tolist()],
                    },
                )
                for item, speech in zip(items, spoken, strict=True)
            ]

        return synthesise

    def warm_up(self, model: TextToSpeech, items: Sequence[Text]) -> None:
        """The whole batch: how long a part of a text lasts, only the model knows."""
        model.utter([item.utterance for item in items])

    def measure(self, context: Context, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Metrics of waveforms beside floors, and of what a recogniser hears."""
        if not names:
            return
        recogniser = find_recogniser(context.experiment.score.recogniser)
        listen = load_recogniser(recogniser) if recogniser else None
        rows = score_waves(context, names, copies=not own_timing(context))
        for name, row in zip(names, rows, strict=True):
            heard = {} if listen is None else score_letters(context, name, listen)
            yield {"waves": row, "heard": heard, "by": recogniser}

    def score(self, context: Context, rows: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Means of these, and of durations; InputError unless one recogniser heard them all."""
        recognisers = list(dict.fromkeys(row["by"] for row in rows.values()))
        if len(recognisers) > 1:
            named = " and ".join(map(str, recognisers))
            raise InputError(f"parts were heard by {named}; set score.recogniser to one of them")
        found = {name: row["waves"] for name, row in rows.items()}
        durations = score_durations(context, found)
        for name, row in rows.items():
            for system, scores in row["heard"].items():
                found[name].setdefault(system, {}).update(scores)
        return content_of(found, {"durations": durations, "recogniser": recognisers[0]})

    def page(self, context: Context, scores: Mapping[str, Any]) -> PageContent:
        """The first utterances, beside their recordings."""
        return shown(context, scores)


def own_timing(context: Context) -> bool:
    """Whether what is decoded has durations of its own, not the recordings'."""
    return context.experiment.decode.durations == "predicted"
