"""Streaming: mel chunks in, the waveform of full synthesis out, in bounded memory.

The network sees a few frames to either side, its reach. So what is known of a level, up to some
frame, makes the next level known up to `ahead` frames before that, and only the last `behind`
frames of each level are kept:

    level N  (noise)    ==================|            as far as the mel
    level N - 1         ===============|               `ahead` frames less, after one step
    ...
    level 0  (audio)    ========|                      N * ahead frames less: the latency

Mel-consistent sampling sees `Frames.reach` frames further in each iteration, coloured noise once.

Each frame of each level is computed once, whatever the number of steps; what is computed besides
are the frames of reach around each piece. Noise is a function of seed, step and position, so the
pieces join to what one call over the whole mel gives.

That waits long where iterations see far. What is far matters little: `WindowStream` makes each
piece with a few frames to either side alone, all levels of it at once.

Shapes: M mels, F frames, T = F * hop samples.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from wg.diffusion.noise import PositionalNoise
from wg.diffusion.plan import finite
from wg.diffusion.samplers import (
    Estimate,
    State,
    Step,
    check_clip,
    predict_clean,
    sampler,
    settled,
)
from wg.diffusion.sampling import correction
from wg.errors import InputError
from wg.inference.model import SamplingConfig, TrainedModel, released
from wg.inference.receptive_field import ReceptiveField, receptive_field_of
from wg.mel.frames import Frames
from wg.models.denoiser import DenoiserCondition

LONGEST_LATENCY = 8.0  # seconds; what waits longer is no streaming
FADE = 4  # frames in which a piece of a window goes over into the next one


class Buffer:
    """The latest part of a signal [..., L] by frame, `size` values a frame."""

    def __init__(self, size: int) -> None:
        self.size, self.first, self.end = size, 0, 0  # frames
        self.values: Tensor | None = None

    def append(self, values: Tensor) -> None:
        """Adds the frames that follow, values [..., L] of `size` a frame."""
        self.values = values if self.values is None else torch.cat([self.values, values], -1)
        self.end += values.shape[-1] // self.size

    def part(self, first: int, end: int) -> Tensor:
        """Values [..., L] of frames first <= f < end, which must be here."""
        assert self.values is not None and self.first <= first <= end <= self.end
        return self.values[..., (first - self.first) * self.size : (end - self.first) * self.size]

    def forget(self, before: int) -> None:
        """Drops frames before this one."""
        before = max(self.first, min(before, self.end))
        if self.values is not None:
            self.values = self.part(before, self.end).clone()
        self.first = before


class Stream:
    """What is kept between chunks; `push` gives the audio that a chunk makes known."""

    def __init__(self, vocoder: TrainedModel, options: SamplingConfig, seed: int) -> None:
        check_clip(options.clip)
        self.vocoder, self.options = vocoder, options
        self.denoiser = vocoder.denoiser
        chosen = sampler(options.sampler)
        self.steps, self.rule = chosen.steps(vocoder.levels(options)), chosen.rule
        self.noise = PositionalNoise([seed], vocoder.device)
        spec = self.spec = vocoder.mel_spec
        self.hop = spec.hop_length
        network = receptive_field_of(self.denoiser)
        prior = self._condition(spec.silence[None, :, None]).prior.reach
        self.reaches = [
            wider(network, (prior if i == 0 else 0) + self._correction_reach(step))
            for i, step in enumerate(self.steps)
        ]
        self._check_latency()
        self.longest = 0  # frames of a chunk so far: no piece is longer
        self.mel = Buffer(1)
        self.lines = [Buffer(self.hop) for _ in range(len(self.steps) + 1)]  # x, noise to audio
        self.estimates = [Buffer(self.hop) for _ in self.steps[1:]]  # eps and x_0, [2, 1, L]

    @property
    def latency(self) -> int:
        """Frames of mel that must follow a frame before its audio comes."""
        return sum(reach.ahead for reach in self.reaches)

    def _correction_reach(self, step: Step) -> int:
        """Frames to either side on which a corrected estimate depends."""
        options = self.options.consistency
        if options is None or not options.acts_at(step.level):
            return 0
        return (options.iterations + 1) * Frames.own(self.spec).reach

    def _check_latency(self) -> None:
        seconds = self.latency * self.hop / self.spec.sample_rate
        if seconds > LONGEST_LATENCY:
            raise InputError(
                f"streaming would start {seconds:.1f} s late, over {LONGEST_LATENCY:g} s: every "
                "iteration of mel-consistent sampling waits for another window; take a context "
                "(--context 32, context=32), fewer of them (--consistency 0: none) or fewer steps"
            )

    @torch.inference_mode()
    def push(self, mel: Tensor | None) -> Tensor:
        """Audio [T] that a chunk [M, F] makes known, or the end of the stream (None)."""
        audio = self.lines[-1]
        done = audio.end
        if mel is not None:
            self.mel.append(mel[None])
            # A place for the noise: `_advance` makes it, since its colour is that of mels around.
            self.lines[0].append(mel.new_empty(1, mel.shape[1] * self.hop))
            self.longest = max(self.longest, mel.shape[1])
        for index, reach in enumerate(self.reaches):
            known, begin = self.lines[index].end, self.lines[index + 1].end
            end = known if mel is None else known - reach.ahead
            while begin < end:
                piece = min(begin + self.longest, end)
                self._advance(index, begin, piece)
                begin = piece
        self.mel.forget(audio.end - max(reach.behind for reach in self.reaches))
        if audio.end == done:
            return released(torch.zeros(0))
        made = released(audio.part(done, audio.end)[0])
        audio.forget(audio.end)
        return made

    def _condition(self, mel: Tensor) -> DenoiserCondition:
        return self.denoiser.condition({"mel": mel.to(self.vocoder.device, self.vocoder.dtype)})

    def _advance(self, index: int, begin: int, end: int) -> None:
        """Makes frames begin .. end of the next level known."""
        step, line, hop = self.steps[index], self.lines[index], self.hop
        reach = self.reaches[index]
        first, last = max(0, begin - reach.behind), min(line.end, end + reach.ahead)
        inner = slice((begin - first) * hop, (end - first) * hop)
        mel = self.mel.part(first, last)
        condition = self._condition(mel)

        def coloured(step: int) -> Tensor:
            return condition.prior.colour(self.noise(step, (last - first) * hop, first * hop))

        x = line.part(first, last) if index else coloured(0)
        column = torch.tensor([step.level], dtype=torch.float64)
        eps = self.denoiser.estimate(x, column, condition)
        correct = correction(self.options.consistency, mel, self.spec)
        x_0, eps = predict_clean(x, step.level, eps, self.options.clip, correct)
        x, x_0, eps = x[:, inner], x_0[:, inner], eps[:, inner]
        before = Estimate(*self.estimates[index - 1].part(begin, end)) if index else None
        clip, state = self.options.clip, State(x, eps, x_0, before)
        x = settled(self.rule(state, step, lambda: coloured(step.index)[:, inner]), clip)
        if step.target == 1:
            x = finite(x, self.options.schedule)
        self.lines[index + 1].append(x)
        line.forget(end - reach.behind)
        if index < len(self.estimates):
            self.estimates[index].append(torch.stack([eps, x_0]))
        if index:
            self.estimates[index - 1].forget(end)


class WindowStream:
    """Pieces made with `context` frames to either side alone, nearly what one call gives.

    `push` gives the audio that a chunk makes known, `context` frames behind the mel. A piece goes
    over into the next one, which was made anew of other frames and, in 8 bits, of other steps.
    """

    def __init__(
        self, vocoder: TrainedModel, options: SamplingConfig, seed: int, context: int
    ) -> None:
        try:
            context = operator.index(context)
        except TypeError:
            raise InputError(f"context {context!r}: give a whole number of frames") from None
        if context < 1:
            raise InputError(f"context {context}: give at least 1 frame")
        late = context * vocoder.mel_spec.hop_length / vocoder.mel_spec.sample_rate
        if late > LONGEST_LATENCY:
            raise InputError(
                f"context {context}: streaming would start {late:.1f} s late, over "
                f"{LONGEST_LATENCY:g} s; take fewer frames, or synthesise the whole mel"
            )
        check_clip(options.clip)
        receptive_field_of(vocoder.denoiser)  # refuses what depends on the position
        self.vocoder, self.options, self.latency = vocoder, options, context
        self.levels = vocoder.levels(options)
        self.noise = PositionalNoise([seed], vocoder.device)
        self.longest = 0  # frames of a chunk so far
        self.mel, self.made = Buffer(1), 0  # frames
        self.after = torch.zeros(0, device=vocoder.device)  # what the last piece had of the next

    @torch.inference_mode()
    def push(self, mel: Tensor | None) -> Tensor:
        """Audio [T] that a chunk [M, F] makes known, or the end of the stream (None)."""
        if mel is not None:
            self.mel.append(mel[None])
            self.longest = max(self.longest, mel.shape[1])
        end = self.mel.end if mel is None else self.mel.end - self.latency
        if end <= self.made:
            return released(torch.zeros(0))
        hop = self.vocoder.mel_spec.hop_length
        first = max(0, self.made - self.latency)
        wave = self._window(first, self.mel.end)[(self.made - first) * hop :]
        over = min(len(self.after), len(wave))
        share = torch.arange(1, over + 1, device=wave.device) / (over + 1)
        wave[:over] = torch.lerp(self.after[:over], wave[:over], share)
        wave, self.after = wave.split([(end - self.made) * hop, (self.mel.end - end) * hop])
        self.after = self.after[: min(self.latency, FADE) * hop].clone()
        self.made = end
        self.mel.forget(end - self.latency)
        return released(wave)

    def _window(self, first: int, last: int) -> Tensor:
        """Audio [T] of frames first .. last by themselves."""
        vocoder, hop, mel = self.vocoder, self.vocoder.mel_spec.hop_length, self.mel
        given = mel.part(first, last).to(vocoder.device, vocoder.dtype)
        condition = vocoder.denoiser.condition({"mel": given})
        return vocoder.reverse(
            *(condition, self.levels, self.noise, self.options, (last - first) * hop),
            correct=vocoder.correction(condition, self.options),
            first=first * hop,
        )[0]


def wider(reach: ReceptiveField, frames: int) -> ReceptiveField:
    """A reach with so many frames more to either side."""
    return ReceptiveField(reach.behind + frames, reach.ahead + frames)


def stream(
    vocoder: TrainedModel,
    chunks: Iterable[Tensor | np.ndarray],
    options: SamplingConfig,
    seed: int,
    context: int | None = None,
) -> Iterator[Tensor]:
    """Audio [T] in pieces, from chunks [M, F] of one mel; F may differ between them.

    The pieces join to `vocoder(mel, options, seed=seed)`, with a `context` nearly so, see
    `WindowStream`. Ends with the chunks; an error of theirs passes through. InputError names the
    chunk that is none.
    """
    state = begun(vocoder, options, seed, context)

    def pieces() -> Iterator[Tensor]:
        for number, chunk in enumerate(chunks, 1):
            audio = state.push(checked(chunk, number, vocoder))
            if len(audio):
                yield audio
        if not state.longest:
            raise InputError("a stream without chunks; give at least one frame of mel")
        yield state.push(None)

    return pieces()


def begun(
    vocoder: TrainedModel, options: SamplingConfig, seed: int, context: int | None
) -> Stream | WindowStream:
    """A stream without chunks as yet."""
    if context is None:
        return Stream(vocoder, options, seed)
    return WindowStream(vocoder, options, seed, context)


def checked(given: Tensor | np.ndarray, number: int, vocoder: TrainedModel) -> Tensor:
    """The chunk, float32 on the vocoder's device; InputError unless it is a mel [M, F > 0]."""
    bands = vocoder.mel_spec.n_mels
    if not isinstance(given, Tensor | np.ndarray):
        kind = type(given).__name__
        raise InputError(f"chunk {number}: a {kind}; give a torch tensor or numpy array")
    chunk = from_array(given, f"chunk {number}:") if isinstance(given, np.ndarray) else given
    if not chunk.is_floating_point():
        raise InputError(f"chunk {number}: {chunk.dtype}; a mel holds floating-point numbers")
    if chunk.ndim != 2 or chunk.shape[0] != bands or not chunk.shape[1]:
        raise InputError(
            f"chunk {number}: shape {list(chunk.shape)}; this vocoder takes [{bands}, frames], "
            "at least one frame"
            + ("; of a whole mel give mel.split(20, 1)" if chunk.ndim == 1 else "")
        )
    if not torch.isfinite(chunk).all():
        raise InputError(f"chunk {number}: NaN or infinite values; look at what computed it")
    return chunk.to(vocoder.device, torch.float32)


def from_array(array: np.ndarray, name: str = "mel of") -> Tensor:
    """A copy [...] of floats in any byte order and layout; InputError with `name` for others."""
    if array.dtype.kind != "f":
        raise InputError(f"{name} {array.dtype}; a mel holds floating-point numbers")
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))
