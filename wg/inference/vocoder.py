"""A trained vocoder: mels in, waveforms out. Needs torch, numpy and safetensors only."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from wg.diffusion.consistency import Consistency
from wg.diffusion.noise import PositionalNoise
from wg.diffusion.sampling import Progress
from wg.diffusion.schedules import Schedule
from wg.errors import InputError, InputWarning
from wg.inference.model import SamplingConfig, TrainedModel, released
from wg.inference.streaming import from_array, stream
from wg.mel.recognise import oddity
from wg.moved import renamed

LONGEST = 30 * 60  # seconds of audio in a call
Array = TypeVar("Array", Tensor, np.ndarray)


class UnlikelyMel(InputWarning):
    """A mel that a vocoder takes, whose values are probably of another convention."""


class Vocoder(TrainedModel):
    """Mel to waveform with a trained network.

    `voc = Vocoder.from_pretrained("folder"); wave = voc(mel, steps=6, seed=1)`. A call changes
    nothing in it, so that threads can share one.
    """

    takes = ("mel",)
    _warned = False

    @torch.inference_mode()
    def __call__(
        self,
        mel: Array,
        synthesis: SamplingConfig | None = None,
        *,
        steps: int | None = None,
        schedule: Schedule | None = None,
        sampler: str | None = None,
        consistency: Consistency | int | None = None,
        seed: int | Sequence[int] = 0,
        lengths: Sequence[int] | Tensor | None = None,
        progress: Progress | None = None,
    ) -> Array:
        """Waveform [T] of a mel [M, F], or [B, T] of a batch [B, M, F]; T = F * hop.

        Float32, on the vocoder's device; numpy for numpy. `steps` or `schedule`, `sampler` and
        `consistency` override `synthesis`, and that the vocoder's own. `seed`: one for all
        utterances, or one each. `lengths` [B]: how many frames of a padded mel are real; the rest
        becomes silence.
        An utterance's waveform depends on its mel and seed, not on the batch around it.
        """
        options = self.chosen(synthesis).override(steps, schedule, sampler, consistency)
        given: Tensor = from_array(mel) if isinstance(mel, np.ndarray) else mel
        batch = self._batch(given, lengths)
        self._look_at(batch["mel"][0], lengths)
        count, length = len(batch["mel"]), batch["mel"].shape[-1] * self.mel_spec.hop_length
        seeds = whole_seeds(seed, count)
        levels = self.levels(options)
        noise = PositionalNoise(seeds, self.device)
        condition = self.denoiser.condition(batch)
        frames = batch["frames"] if "frames" in batch else None
        correct = self.correction(condition, options)
        wave = self.reverse(
            condition, levels, noise, options, length, correct=correct, progress=progress
        )
        if frames is not None:
            ends = frames[:, None] * self.mel_spec.hop_length
            wave = wave * (torch.arange(length, device=wave.device) < ends)
        wave = released(wave if given.ndim == 3 else wave[0])
        return wave.cpu().numpy() if isinstance(mel, np.ndarray) else wave  # pyright: ignore

    def stream(
        self,
        chunks: Iterable[Tensor | np.ndarray],
        synthesis: SamplingConfig | None = None,
        seed: int = 0,
        *,
        steps: int | None = None,
        schedule: Schedule | None = None,
        sampler: str | None = None,
        consistency: Consistency | int | None = None,
        context: int | None = None,
    ) -> Iterator[Tensor]:
        """Audio [T] in pieces, from chunks [M, F] of one mel, as they come.

        The pieces join to what one call over the whole mel gives, to rounding (after
        `optimize("int8")` to that of each piece's own range). With mel-consistent sampling that
        waits for seconds: with a `context` each piece sees so many frames to either side alone and
        comes so many late; from 24 to 32 on (0.3 s) it sounds the same, see docs/sampling.md. How
        to sample is said as in that call.
        """
        options = self.chosen(synthesis).override(steps, schedule, sampler, consistency)
        return stream(self, chunks, options, whole_seeds(seed, 1)[0], context)

    def oddity(self, mel: Tensor) -> str | None:
        """Why values [M, F] are probably not what this vocoder was trained on; None: they may be.

        Nothing is said where torchaudio is not installed, which inference needs for nothing else.
        """
        try:
            return oddity(mel, self.mel_spec)
        except ModuleNotFoundError:
            return None

    def _look_at(self, mel: Tensor, lengths: Sequence[int] | Tensor | None) -> None:
        """Warns, once, of a mel [M, F] whose values are not what this vocoder was trained on."""
        if self._warned:
            return
        end = mel.shape[-1] if lengths is None else int(lengths[0])
        if problem := self.oddity(mel[:, :end]):
            self._warned = True
            warnings.warn(problem, UnlikelyMel, stacklevel=4)

    def _batch(self, mel: Tensor, lengths: Sequence[int] | Tensor | None) -> dict[str, Tensor]:
        """What the network is conditioned on; InputError for a mel or lengths that are none."""
        bands, spec = self.mel_spec.n_mels, self.mel_spec
        if not isinstance(mel, Tensor):
            raise InputError(f"mel is a {type(mel).__name__}; give a torch tensor or numpy array")
        if mel.ndim not in (2, 3) or mel.shape[-2] != bands or not mel.numel():
            turned = mel.ndim in (2, 3) and mel.shape[-1] == bands
            raise InputError(
                f"mel of shape {list(mel.shape)}; this vocoder takes [{bands}, frames] or "
                f"[batch, {bands}, frames]" + ("; it looks transposed" if turned else "")
            )
        if not mel.is_floating_point():
            raise InputError(f"mel of {mel.dtype}; a mel holds floating-point numbers")
        frames = mel.shape[-1]
        if frames * spec.hop_length > LONGEST * spec.sample_rate:
            minutes = frames * spec.hop_length / spec.sample_rate / 60
            raise InputError(
                f"mel of {frames} frames, {minutes:.0f} minutes of audio; give at most "
                f"{LONGEST // 60} minutes at a time, or stream it (Vocoder.stream, "
                "wg vocode --chunk)"
            )
        if not torch.isfinite(mel).all():
            raise InputError("mel holds NaN or infinite values; look at what computed it")
        batch = mel if mel.ndim == 3 else mel[None]
        tensors = {"mel": batch.to(self.device, self.dtype)}
        if lengths is not None:
            try:
                real = torch.as_tensor(lengths)
            except (TypeError, ValueError, RuntimeError, OverflowError):
                raise InputError(f"lengths {str(lengths)[:60]}; give whole numbers") from None
            if real.shape != (len(batch),) or real.is_floating_point():
                raise InputError(f"lengths {real.tolist()}; give {len(batch)} whole numbers")
            if bool(((real < 1) | (real > frames)).any()):
                raise InputError(f"lengths {real.tolist()}; each is 1 to {frames} frames")
            if bool((real < frames).any()):
                tensors["frames"] = real.to(self.device)
        return tensors


def whole_seeds(seed: int | Sequence[int], count: int) -> list[int]:
    """Seeds of so many utterances, of one for all or one each; InputError for what is none."""
    try:
        one = isinstance(seed, int | np.integer)
        seeds = [index(seed)] * count if one else [index(value) for value in seed]
    except TypeError:
        raise InputError(f"seed {seed!r}: give a whole number, or one an utterance") from None
    if len(seeds) != count:
        raise InputError(f"{len(seeds)} seeds for {count} utterances; give one, or one each")
    if any(not -(2**63) <= value < 2**63 for value in seeds):
        raise InputError(f"seed {seed!r}: beyond 64 bits; give a smaller number")
    return seeds


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed(__name__, name)
