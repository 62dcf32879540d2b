"""Stages 5 and 7 of models that read text: the split's texts spoken, the model's folder and page.

Each stage is the vocoders' one with another `run` for these models.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from wg.data.dump import Dump
from wg.diffusion.noise import seed_of
from wg.inference.checkpoint import find_checkpoint, speech_from_checkpoint
from wg.inference.text_to_speech import TextToSpeech, Utterance, Voice
from wg.processes.devices import synchronise
from wg.stages import decode, hearing, pack, sets
from wg.stages.spoken import phonemes_of, training_features, with_speakers
from wg.stages.stage import Context


def utterances_of(context: Context, dump: Dump) -> list[tuple[str, Utterance]]:
    """(id, utterance) of each clip to decode: its symbols, its speaker and a seed of its own."""
    decoding, model = context.experiment.decode, context.experiment.model
    phonemes = phonemes_of(context, decoding.split)
    found = []
    for entry in dump.utterances[: decoding.limit]:
        spoken = phonemes[entry.id]
        speaker = entry.speaker if model.speakers else None
        voice = Voice(speaker, seed=seed_of(entry.id, decoding.seed))
        durations = spoken.durations if decoding.durations == "reference" else None
        found.append((entry.id, Utterance(spoken.symbols, voice, durations)))
    return found


def speak(context: Context) -> Mapping[str, Any]:
    """Stage 5: speaks the split's texts, and writes beside each wav what made it."""
    context = with_speakers(context)
    decoding = context.experiment.decode
    # A SpokenDump, for its checks: before any work, all texts have symbols and known speakers.
    items = utterances_of(context, training_features(context, decoding.split))
    checkpoint = find_checkpoint(context.exp, decoding.checkpoint)
    model = speech_from_checkpoint(checkpoint, context.experiment)

    def work(batches: list[list[tuple[str, Utterance]]]) -> None:
        if batches:  # warm-up, not timed
            model.utter([utterance for _, utterance in batches[0]])
        for batch in batches:
            write_batch(context, model, batch, checkpoint.name)

    decode.share_out(context, model, items, work)
    return decode.summarise(context, [name for name, _ in items])


def write_batch(
    context: Context, model: TextToSpeech, batch: list[tuple[str, Utterance]], checkpoint: str
) -> None:
    """Speech of one batch; an utterance does not depend on what else is in it."""
    decoding, rate = context.experiment.decode, model.mel_spec.sample_rate
    levels = model.levels(model.synthesis).tolist()
    synchronise(model.device)
    started = time.perf_counter()
    spoken = model.utter([utterance for _, utterance in batch])
    synchronise(model.device)
    seconds = (time.perf_counter() - started) / sum(len(speech.wave) for speech in spoken)
    for (name, utterance), speech in zip(batch, spoken, strict=True):
        made = {
            "id": name,
            "checkpoint": checkpoint,
            "sampler": decoding.sampler,
            "levels": levels,
            "seed": utterance.voice.seed,
            "seconds": seconds * len(speech.wave),
            "speaker": utterance.voice.speaker,
            "symbols": list(utterance.symbols),
            "durations": [round(value, 3) for value in speech.durations.tolist()],
        }
        decode.write_utterance(context.decoded, speech.wave.float().cpu(), rate, made)


def publish(context: Context) -> Mapping[str, Any]:
    """Stage 7: writes exp/.../speech and exp/.../page, and says where they are."""
    context = with_speakers(context)
    checkpoint = find_checkpoint(context.exp, context.experiment.decode.checkpoint)
    model = speech_from_checkpoint(checkpoint, context.experiment)
    card = pack.model_card(context, model, checkpoint, "speech.md")
    return pack.publish(context, model, "speech", card)


STAGES = tuple(
    sets.for_models(stage, TextToSpeech.takes, run)
    for stage, run in zip(sets.STAGES, (speak, hearing.evaluate, publish), strict=True)
)
