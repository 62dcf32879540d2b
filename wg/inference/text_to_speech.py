"""A trained model that reads text. Needs torch, numpy, safetensors and what `wg.text` needs.

Shapes: B utterances, N symbols, T = frames * hop samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from wg.diffusion.noise import PositionalNoise, mix_seed
from wg.errors import InputError
from wg.inference.model import SamplingConfig, TrainedModel, released
from wg.models.network import TextConfig
from wg.text.frontend import text_to_symbols
from wg.text.pronounce import Lexicon
from wg.text.sentences import sentences
from wg.text.symbols import to_ids, with_pauses

FADE_S = 0.005  # at both ends of a sentence
PAUSE_S = 0.1  # between two sentences


@dataclass(frozen=True)
class Voice:
    """Who speaks, how fast and how high (1.2: a fifth more than learned); seed of the noise."""

    speaker: str | None = None
    pace: float = 1.0
    seed: int = 0
    pitch: float = 1.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.pace <= 10:
            raise InputError(f"pace {self.pace:g}; give 0.1 to 10 (2: twice as fast)")
        if not 0.25 <= self.pitch <= 4:
            raise InputError(f"pitch {self.pitch:g}; give 0.25 to 4 (2: an octave higher)")


@dataclass(frozen=True)
class Sentence:
    """Symbols to speak in one breath; their durations in frames, if not as predicted."""

    symbols: Sequence[str]
    voice: Voice
    durations: Sequence[float] | None = None


class Speech(NamedTuple):
    """An utterance's waveform [T] and its symbols' durations [N] in frames."""

    wave: Tensor
    durations: Tensor


class TextToSpeech(TrainedModel):
    """Text to waveform with a trained network.

    `tts = TextToSpeech.from_pretrained(folder); wave = tts("Good morning.", Voice("anna"))`
    `tts.lexicon` may give pronunciations of words, which go before the dictionary's.
    """

    takes = ("text",)
    model: TextConfig
    lexicon: Lexicon = {}

    def __call__(
        self, text: str, voice: Voice | None = None, synthesis: SamplingConfig | None = None
    ) -> Tensor:
        """Waveform [T] of an English text; `{HH AH0 L OW1}` in it is taken as phonemes."""
        return self.read([text], voice or Voice(), synthesis)[0]

    def read(
        self,
        texts: Sequence[str],
        voice: Voice,
        synthesis: SamplingConfig | None = None,
        batch_size: int = 8,
    ) -> list[Tensor]:
        """Waveforms [T], one a text; each is spoken by sentences, `batch_size` at a time.

        A text sounds the same alone or among others.
        """
        return list(self.read_each(texts, voice, synthesis, batch_size))

    def read_each(
        self,
        texts: Sequence[str],
        voice: Voice,
        synthesis: SamplingConfig | None = None,
        batch_size: int = 8,
    ) -> Iterator[Tensor]:
        """As `read`, each waveform [T] as soon as its last sentence is spoken.

        Errors in any text come before the first waveform.
        """
        parts = [self.sentences(text, voice) for text in texts]
        flat = [utterance for part in parts for utterance in part]
        counts = [len(part) for part in parts]
        waves: list[Tensor] = []  # spoken, of texts that are not given back yet
        for first in range(0, len(flat), batch_size):
            spoken = self.utter(flat[first : first + batch_size], synthesis)
            waves += [speech.wave for speech in spoken]
            while counts and len(waves) >= counts[0]:
                count = counts.pop(0)
                yield join(waves[:count], self.mel_spec.sample_rate)
                del waves[:count]

    def sentences(self, text: str, voice: Voice) -> list[Sentence]:
        """A text's sentences as symbols; InputError where there is nothing to speak."""
        self.speaker_index(voice.speaker)
        if voice.pitch != 1 and not self.model.pitch_weight:
            raise InputError(
                f"pitch {voice.pitch:g} given, but the model does not predict its pitch (it was "
                "trained with model.pitch_weight=0)"
            )
        # A sentence of dots or an emoji alone is silent, unless it is all there is.
        spoken = [part for part in sentences(text) if any(map(str.isalnum, part))] or [text]
        utterances = []
        for number, sentence in enumerate(spoken):
            symbols = text_to_symbols(sentence, self.lexicon)
            if self.model.boundaries == "pauses":
                symbols = with_pauses(symbols)
            to_ids(symbols, self.model.symbols)
            seeded = replace(voice, seed=mix_seed(voice.seed, number))
            utterances.append(Sentence(symbols, seeded))
        return utterances

    def speaker_index(self, name: str | None) -> int:
        """Place of a speaker, 0 if the model knows a single one, which need not be named.

        InputError for a speaker it does not know, and for none if it knows several.
        """
        known = self.model.speakers
        if name is not None:
            if not known:
                raise InputError(f"speaker {name!r} given, but the model knows a single voice")
            return self.model.speaker_index(name)
        if len(known) > 1:
            shown = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
            raise InputError(f"the model needs a speaker; choose from: {shown}")
        return 0

    @torch.inference_mode()
    def utter(
        self, utterances: Sequence[Sentence], synthesis: SamplingConfig | None = None
    ) -> list[Speech]:
        """Waveforms and durations of utterances in one batch; none depends on the others.

        Either all utterances say their durations, or none.
        """
        options = self.chosen(synthesis)
        condition = self.denoiser.condition(self._batch(utterances))
        cond = condition.cond
        hop = self.mel_spec.hop_length
        samples = [count * hop for count in cond.frames.tolist()]
        noise = PositionalNoise([utterance.voice.seed for utterance in utterances], self.device)
        levels = self.levels(options)
        correct = self.correction(condition, options)
        waves = self.reverse(condition, levels, noise, options, max(samples), correct=correct)
        return [
            Speech(released(wave[:length]), released(durations[: len(utterance.symbols)]))
            for wave, length, durations, utterance in zip(
                waves, samples, cond.durations, utterances, strict=True
            )
        ]

    def _batch(self, utterances: Sequence[Sentence]) -> dict[str, Tensor]:
        ids = [to_ids(utterance.symbols, self.model.symbols) for utterance in utterances]
        batch = {
            "symbols": pad_sequence([torch.tensor(row) for row in ids], True),
            "symbol_lengths": torch.tensor([len(row) for row in ids]),
            "pace": torch.tensor([utterance.voice.pace for utterance in utterances]),
            "pitch_factor": torch.tensor([utterance.voice.pitch for utterance in utterances]),
        }
        given = [u.durations for u in utterances if u.durations is not None]
        if given:
            assert [len(row) for row in given] == [len(row) for row in ids]
            batch["durations"] = pad_sequence([torch.tensor(row) for row in given], True)
        batch["speaker"] = torch.tensor([self.speaker_index(u.voice.speaker) for u in utterances])
        return {name: value.to(self.device) for name, value in batch.items()}


def join(waves: Sequence[Tensor], rate: int) -> Tensor:
    """Sentences [T] one after another: each faded in and out, with a pause between two."""
    ramp = 0.5 - 0.5 * torch.cos(torch.linspace(0, math.pi, round(FADE_S * rate)))
    pause = waves[0].new_zeros(round(PAUSE_S * rate))
    pieces = []
    for wave in waves:
        edge = ramp[: len(wave) // 2].to(wave)
        faded = wave.clone()
        faded[: len(edge)] *= edge
        faded[len(wave) - len(edge) :] *= edge.flip(0)
        pieces += [faded, pause]
    return torch.cat(pieces[:-1])
