"""What a cell measures: a vocoder as features in, waveforms out, whoever made it.

Features are what the vocoder would be given by an acoustic model: a mel, or WORLD's parameters;
making them is never timed. Shapes: B utterances, M bands, F frames, T samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from wg.bench.plan import Cell, VocoderEntry, schedule_of
from wg.errors import InputError
from wg.inference.vocoder import Vocoder
from wg.mel.extract import log_mel
from wg.mel.griffinlim import griffin_lim
from wg.mel.hub import named
from wg.mel.spec import MelSpec
from wg.metrics.pitch import FRAME_MS, LOWEST_HZ, f0
from wg.models.int8 import int8_layers
from wg.plugin import function_named
from wg.processes.devices import computes_in_int8

CPU = torch.device("cpu")
AUTOCAST = {"bf16": torch.bfloat16, "16": torch.float16}
# Mels [B, M, F], true frames [B], seeds -> waveforms [B, T].
Run = Callable[[Tensor, Tensor, Sequence[int]], Tensor]
StreamCall = Callable[[Iterable[Tensor]], Iterator[Tensor]]  # chunks of a mel [M, F] -> audio [T]


class System(Protocol):
    """A vocoder under test, by what a cell asks of it."""

    rate: int | None  # Hz; None: any
    network: nn.Module | None
    device: torch.device

    def features(self, wave: np.ndarray, rate: int) -> Any:
        """What it synthesises a recording, float32 [T], from."""
        ...

    def synthesise(self, features: Sequence[Any], seeds: Sequence[int]) -> list[np.ndarray]:
        """Waveforms, float32 [T] each, of several utterances, computed as one batch."""
        ...

    def begin(self, features: Any, chunk: float) -> float | None:
        """Streams features, `chunk` seconds at a time, until there is audio; computes no more.

        Seconds of features that this took. None for one that does not stream.
        """
        ...


class FromMel:
    """A system of a function from mels to waveforms, ours or another package's."""

    def __init__(
        self,
        spec: MelSpec,
        run: Run,
        network: nn.Module | None = None,
        device: torch.device = CPU,
        precision: str = "32",
        stream: StreamCall | None = None,
    ) -> None:
        self.spec, self.run, self.precision, self.stream = spec, run, precision, stream
        self.rate: int | None = spec.sample_rate
        self.network, self.device = network, device

    def features(self, wave: np.ndarray, rate: int) -> Tensor:
        """Log mel [M, F] of a recording [T] at the rate of the spec."""
        assert rate == self.rate
        return log_mel(torch.from_numpy(wave), self.spec)

    @torch.inference_mode()
    def synthesise(self, features: Sequence[Tensor], seeds: Sequence[int]) -> list[np.ndarray]:
        """Waveforms [T] of mels [M, F], which are padded with silence to one length."""
        frames = torch.tensor([mel.shape[1] for mel in features])
        batch = self.spec.silence[None, :, None].repeat(len(features), 1, int(frames.max()))
        for row, mel in zip(batch, features, strict=True):
            row[:, : mel.shape[1]] = mel
        with self.autocast():
            waves = self.run(batch.to(self.device), frames, seeds).float().cpu().numpy()
        return [
            wave[: count * self.spec.hop_length]
            for wave, count in zip(waves, frames.tolist(), strict=True)
        ]

    def begin(self, features: Tensor, chunk: float) -> float | None:
        """As `System.begin`, of a mel [M, F]; None, too, for a network that cannot be streamed."""
        if self.stream is None:
            return None
        spec, taken = self.spec, 0

        def chunks() -> Iterator[Tensor]:
            nonlocal taken
            frames = max(1, round(chunk * spec.sample_rate / spec.hop_length))
            for part in features.split(frames, 1):
                taken += part.shape[1]
                yield part

        try:
            pieces = self.stream(chunks())
        except InputError:
            return None
        with self.autocast():
            next(pieces)
        return taken * spec.hop_length / spec.sample_rate

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the cell."""
        if self.precision not in AUTOCAST:
            return nullcontext()
        return torch.autocast(self.device.type, AUTOCAST[self.precision])


class Recording:
    """The ceiling: the recording itself."""

    rate: int | None = None
    network: nn.Module | None = None
    device: torch.device = CPU

    def features(self, wave: np.ndarray, rate: int) -> np.ndarray:
        """The recording [T] as it is, at any rate."""
        return wave

    def synthesise(self, features: Sequence[np.ndarray], seeds: Sequence[int]) -> list[np.ndarray]:
        """Copies of recordings [T]: an exact vocoder, whose scores are the best there are."""
        return [wave.copy() for wave in features]

    def begin(self, features: np.ndarray, chunk: float) -> None:
        """None: a recording [T] is not streamed."""


class World:
    """A floor without a network: WORLD's synthesis from WORLD's analysis of the recording.

    F0 is that of the metrics (`wg.metrics.pitch`), envelope CheapTrick's, aperiodicity D4C's.
    """

    rate: int | None = None
    network: nn.Module | None = None
    device: torch.device = CPU

    def features(self, wave: np.ndarray, rate: int) -> tuple[Any, ...]:
        """F0 [F] in Hz, envelope [F, K], aperiodicity [F, K], of K bins, and the rate."""
        audio = wave.astype(np.float64)
        pitch = f0(audio, rate)  # the first to import pyworld, whose warning it keeps quiet
        from pyworld.pyworld import cheaptrick, d4c, get_cheaptrick_fft_size

        times = np.arange(len(pitch)) * FRAME_MS / 1000
        size = get_cheaptrick_fft_size(rate, LOWEST_HZ)
        envelope = cheaptrick(audio, pitch, times, rate, fft_size=size)
        return pitch, envelope, d4c(audio, pitch, times, rate, fft_size=size), rate

    def synthesise(
        self, features: Sequence[tuple[Any, ...]], seeds: Sequence[int]
    ) -> list[np.ndarray]:
        """Waveforms [T], one after the other: WORLD knows no batches."""
        from pyworld.pyworld import synthesize

        return [synthesize(*item, frame_period=FRAME_MS).astype(np.float32) for item in features]

    def begin(self, features: tuple[Any, ...], chunk: float) -> None:
        """None: WORLD is not streamed."""


def system_of(entry: VocoderEntry, cell: Cell, root: Path, device: torch.device) -> System:
    """The vocoder of a cell; InputError for one that cannot be made."""
    if cell.precision == "16" and device.type == "cpu":
        raise InputError("precision 16 needs a GPU; give --ngpu, or take bf16")
    if cell.precision == "int8":
        check_int8(entry, device)
    if entry.kind == "recording":
        return Recording()
    if entry.kind == "world":
        return World()
    if entry.kind == "griffin-lim":
        return griffin_lim_system(named(entry.mel), entry.iterations)
    if entry.kind == "wg":
        return ours(entry, root, cell, device)
    return external(entry, cell, device)


def check_int8(entry: VocoderEntry, device: torch.device) -> None:
    """InputError where 8 bits cannot be."""
    if entry.kind == "external":
        raise InputError("precision int8 is of vocoders of kind wg; take bf16, or 32")
    if device.type != "cpu" or not computes_in_int8():
        raise InputError("precision int8 needs a CPU with avx512_vnni; take bf16, or 32")


def griffin_lim_system(spec: MelSpec, iterations: int) -> System:
    """The floor that any trained vocoder of this mel has to beat."""

    def run(mels: Tensor, frames: Tensor, seeds: Sequence[int]) -> Tensor:
        rows = zip(mels, frames.tolist(), seeds, strict=True)
        waves = [griffin_lim(m[:, :n], spec, iterations, seed % 2**32) for m, n, seed in rows]
        return nn.utils.rnn.pad_sequence(waves, batch_first=True)

    return FromMel(spec, run)


def ours(entry: VocoderEntry, root: Path, cell: Cell, device: torch.device) -> System:
    """A vocoder folder, with the cell's schedule and sampler."""
    vocoder = Vocoder.from_pretrained(root / entry.folder).to(device)
    options = vocoder.synthesis.override(None, schedule_of(cell, root), cell.sampler)
    vocoder.levels(options)
    if cell.precision == "int8":
        if not int8_layers(vocoder.network):
            raise InputError("precision int8: no convolution is large enough to be faster so")
        vocoder.lower("int8")
    elif cell.precision == "32" and device.type == "cpu":
        vocoder.lower("fp32")

    def run(mels: Tensor, frames: Tensor, seeds: Sequence[int]) -> Tensor:
        return vocoder(mels, options, seed=seeds, lengths=frames)

    def stream(chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        return vocoder.stream(chunks, options, context=entry.context)

    return FromMel(vocoder.mel_spec, run, vocoder.network, device, cell.precision, stream)


def external(entry: VocoderEntry, cell: Cell, device: torch.device) -> System:
    """What a factory makes: a callable of mels [B, M, F] that gives waveforms [B, T]."""
    spec = named(entry.mel)
    made = made_by(entry.factory, spec, entry.options)
    network = made.to(device).eval() if isinstance(made, nn.Module) else None

    def run(mels: Tensor, frames: Tensor, seeds: Sequence[int]) -> Tensor:
        torch.manual_seed(seeds[0])  # for those that draw noise themselves
        return made(mels)

    return FromMel(spec, run, network, device, cell.precision)


def made_by(
    factory: str, spec: MelSpec, options: Mapping[str, str | int]
) -> Callable[[Tensor], Tensor]:
    """What MODULE:FACTORY makes; InputError where it fails, or makes no callable."""
    make = function_named(factory, "factory")
    try:
        made: Any = make(spec, **options)
    except InputError:
        raise
    except Exception as error:  # of somebody else's code
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"factory {factory!r} fails ({reason}); mend it or its options") from error
    call: Callable[[Tensor], Tensor] = made
    if not callable(made):
        kind = type(made).__name__
        raise InputError(f"factory {factory!r} returns a {kind}; return a callable of mels")
    return call
