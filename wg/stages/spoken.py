"""What a run of a model that reads text is made of: its speakers, and what they say."""

from __future__ import annotations

from dataclasses import replace

from wg.data.dump import Dump
from wg.data.phonemes import Phonemes, read_phonemes
from wg.data.speech import SpokenDump, speakers_of
from wg.stages.phonemes import reads_text
from wg.stages.stage import Context, features_of


def with_speakers(context: Context) -> Context:
    """The run, its model knowing the speakers of the training split if it knows any."""
    model = context.experiment.model
    if not reads_text(context) or not model.speaker_channels or model.speakers:
        return context
    known = replace(model, speakers=speakers_of(features_of(context, "train")))
    return replace(context, experiment=replace(context.experiment, model=known))


def phonemes_of(context: Context, split: str) -> dict[str, Phonemes]:
    """What stage 3 wrote of a split."""
    return read_phonemes(context.phonemes, split)


def training_features(context: Context, split: str) -> Dump:
    """The features of a split, with what is spoken for a model that reads text."""
    dump = features_of(context, split)
    if not reads_text(context):
        return dump
    return SpokenDump(dump.folder, phonemes_of(context, split), context.experiment.model)
