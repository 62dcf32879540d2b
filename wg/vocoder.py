"""A trained vocoder: mels in, waveforms out. Needs torch, numpy and safetensors only.

`Trained` is what it shares with `wg.generator` and `wg.speech`, whose models take no mel.

On disk it is a folder (`wg.folder`), which can lie on the Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from operator import index
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from wg.diffusion.consistency import Consistency
from wg.diffusion.noise import PositionalNoise
from wg.diffusion.plan import finite, sampling_levels
from wg.diffusion.process import TrainingSchedule
from wg.diffusion.samplers import Clip, Correct, check_clip, sampler
from wg.diffusion.sampling import Progress, correction, reverse
from wg.diffusion.schedules import Schedule
from wg.errors import InputError
from wg.folder import check_sizes, from_plain, load_weights, read_config, write_folder
from wg.history import History
from wg.hub import local_folder, push
from wg.mel.spec import MelSpec
from wg.models import build_network, conditions_of, entry, load
from wg.models.denoiser import Denoiser, Known

if TYPE_CHECKING:
    from typing_extensions import Self

LONGEST = 30 * 60  # seconds of audio in a call
Array = TypeVar("Array", Tensor, np.ndarray)
NOT_FOR = {  # what to do with a model of these conditions instead
    "mel": "this model takes a mel: use wg vocode, or Vocoder",
    "text": "this model reads text: use wg speak, or TextToSpeech",
    "class": "this model takes a class, not a mel: use wg sample --class, or Generator",
    "none": "this model is unconditional and takes no mel: use wg sample, or Generator",
}


@dataclass(frozen=True)
class Synthesis:
    """How to sample: a schedule (see `inference_levels`), a sampler, what is bounded.

    `clip`: the bound on the estimate of x_0, or "state": the noisy state to +-1, as lmnt's code.
    """

    schedule: Schedule = "50"
    sampler: str = "ancestral"
    clip: Clip = None
    consistency: Consistency | None = None  # of estimates with the mel
    samples: int | None = None  # that a model without mel generates

    def with_schedule(self, schedule: str) -> Synthesis:
        """The same with another schedule."""
        return replace(self, schedule=schedule)

    def override(
        self,
        steps: int | None,
        schedule: Schedule | None,
        sampler: str | None,
        consistency: Consistency | int | None = None,
    ) -> Synthesis:
        """The same with those that are not None; `steps` is a schedule of so many.

        `consistency`: so many iterations, or all that there is to say of them.
        """
        if steps is not None and schedule is not None:
            raise InputError(f"steps {steps} and schedule {schedule!r} both given; give one")
        if isinstance(schedule, int):
            raise InputError(f"schedule {schedule}: a step count is steps={schedule}")
        chosen = schedule if steps is None else str(steps)
        if consistency is None:
            consistency = self.consistency
        elif not isinstance(consistency, Consistency):
            consistency = replace(self.consistency or Consistency(), iterations=consistency)
        return replace(
            self,
            schedule=self.schedule if chosen is None else chosen,
            sampler=self.sampler if sampler is None else sampler,
            consistency=consistency,
        )


class Trained:
    """A network with what it needs to be sampled, and its folder on disk."""

    takes: tuple[str, ...] = ()  # conditions of the models that a subclass serves

    def __init__(
        self,
        network: nn.Module,
        model: Any,
        mel_spec: MelSpec,
        diffusion: TrainingSchedule,
        synthesis: Synthesis,
        history: History | None = None,
    ) -> None:
        if conditions_of(model) not in self.takes:
            raise InputError(NOT_FOR[conditions_of(model)])
        self.network = network.eval().requires_grad_(False)
        self.model, self.mel_spec = model, mel_spec
        self.diffusion, self.synthesis = diffusion, synthesis
        self.history = history or History()
        self._compiled: Callable[..., Tensor] | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights; sampling itself is in float32."""
        return next(self.network.parameters()).dtype

    def to(self, device: torch.device | str) -> Self:
        """Moves the weights; returns itself. InputError for a device that is not there."""
        try:
            self.network.to(device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device {str(device)!r} cannot be used: {reason}") from None
        return self

    def half(self) -> Self:
        """Network in float16; returns itself. Load it again to have float32 back."""
        self.network.half()
        return self

    def bfloat16(self) -> Self:
        """Network in bfloat16; returns itself. Load it again to have float32 back."""
        self.network.bfloat16()
        return self

    def compile(self, backend: str = "inductor") -> Self:
        """Compiles the network with torch.compile for any length; returns itself."""
        network: Any = self.network
        self._compiled = torch.compile(network.denoise, backend=backend, dynamic=True)
        return self

    def info(self) -> dict[str, Any]:
        """What it is and how it samples by default, in plain values."""
        spec = self.mel_spec
        return {
            "model": self.model.name,
            "conditions": conditions_of(self.model),
            "parameters": sum(weight.numel() for weight in self.network.parameters()),
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "sample_rate": spec.sample_rate,
            "bands": spec.n_mels,
            "hop_length": spec.hop_length,
            "schedule": self.synthesis.schedule,
            "sampler": self.synthesis.sampler,
        }

    def levels(self, options: Synthesis) -> Tensor:
        """Levels [N + 1] that these options go through, starting from noise.

        A step count means the schedule that a search found for it, where there is one.
        """
        found = self.history.levels(options.schedule, options.sampler)
        return sampling_levels(found or options.schedule, options.sampler, self.diffusion)

    @property
    def denoiser(self) -> Denoiser:
        """The network in its preconditioning; sampling is in float32, whatever the weights are."""
        return Denoiser(self.network, self.diffusion, self.mel_spec, self._compiled)

    def reverse(
        self,
        known: Known,
        levels: Tensor,
        noise: PositionalNoise,
        options: Synthesis,
        length: int,
        start: Tensor | None = None,
        correct: Correct | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Waveforms [B, T] of `length` from noise, or from `start`, at levels[-1]."""
        denoiser = self.denoiser
        wave = reverse(
            lambda x, level: denoiser.estimate(x, level, known),
            levels,
            lambda k: noise(k, length),
            known.prior,
            options.sampler,
            options.clip,
            correct,
            start,
            progress,
        )
        return finite(wave, options.schedule)

    def save_pretrained(self, folder: Path | str, card: str | None = None) -> None:
        """Writes the folder; `card` is the text of its README.md, None: a short one."""
        sections = {
            "model": asdict(self.model),
            "mel": self.mel_spec.to_dict(),
            "diffusion": asdict(self.diffusion),
            "synthesis": asdict(self.synthesis),
            "history": self.history.to_dict(),
        }
        text = self._card() if card is None else card
        write_folder(Path(folder), self.network.state_dict(), sections, text)

    def _card(self) -> str:
        facts = "\n".join(f"- {key}: {value}" for key, value in self.info().items())
        name = type(self).__name__
        front = f"---\nlibrary_name: wg\ntags: [vocoder, diffusion, {self.model.name}]\n---\n"
        return (
            f"{front}\n# {self.model.name}\n\n{facts}\n\n"
            f"```python\nfrom wg import {name}\n\n"
            f'model = {name}.from_pretrained("THIS FOLDER")\n```\n'
        )

    def push_to_hub(self, repo_id: str, private: bool = False, token: str | None = None) -> str:
        """Uploads the folder to the Hugging Face hub as USER/NAME; its URL."""
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return push(Path(folder), repo_id, private, token)

    @classmethod
    def from_pretrained(cls, source: Path | str, revision: str | None = None) -> Self:
        """The model of a folder that `save_pretrained` (or stage 7, pack) wrote, or of a hub id.

        A folder needs no network, nor does a hub id that the cache holds.
        """
        folder = local_folder(source, revision)
        path = folder / "config.json"
        config = read_config(folder)
        try:
            model_class = load(entry(config["model"]["name"]).config)
            model = from_plain(model_class, config["model"])
            mel_spec = MelSpec.from_dict(config["mel"])
            diffusion = from_plain(TrainingSchedule, config["diffusion"])
            synthesis = from_plain(Synthesis, config["synthesis"])
            sampler(synthesis.sampler)
            check_clip(synthesis.clip)
            history = History.from_dict(config["history"]) if "history" in config else None
            with torch.device("meta"):
                empty = build_network(model, mel_spec, diffusion)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (TypeError, KeyError) as error:
            raise InputError(f"{path}: not as wg wrote it ({error!r}); pack again") from None
        check_sizes(empty, folder)
        network = build_network(model, mel_spec, diffusion)
        load_weights(network, folder, config)
        return cls(network, model, mel_spec, diffusion, synthesis, history)


class Vocoder(Trained):
    """Mel to waveform with a trained network.

    `voc = Vocoder.from_pretrained("folder"); wave = voc(mel, steps=6, seed=1)`. A call changes
    nothing in it, so that threads can share one.
    """

    takes = ("mel",)

    @torch.inference_mode()
    def __call__(
        self,
        mel: Array,
        synthesis: Synthesis | None = None,
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
        options = (synthesis or self.synthesis).override(steps, schedule, sampler, consistency)
        given: Tensor = as_tensor(mel) if isinstance(mel, np.ndarray) else mel
        batch = self._batch(given, lengths)
        count, length = len(batch["mel"]), batch["mel"].shape[-1] * self.mel_spec.hop_length
        seeds = whole_seeds(seed, count)
        levels = self.levels(options)
        noise = PositionalNoise(seeds, self.device)
        known = self.denoiser.condition(batch)
        frames = batch["frames"] if "frames" in batch else None
        correct = correction(options.consistency, batch["mel"], self.mel_spec, frames)
        wave = self.reverse(
            known, levels, noise, options, length, correct=correct, progress=progress
        )
        if frames is not None:
            ends = frames[:, None] * self.mel_spec.hop_length
            wave = wave * (torch.arange(length, device=wave.device) < ends)
        wave = wave if given.ndim == 3 else wave[0]
        return wave.cpu().numpy() if isinstance(mel, np.ndarray) else wave  # pyright: ignore

    def stream(
        self,
        chunks: Iterable[Tensor | np.ndarray],
        synthesis: Synthesis | None = None,
        seed: int = 0,
        *,
        steps: int | None = None,
        schedule: Schedule | None = None,
        sampler: str | None = None,
        consistency: Consistency | int | None = None,
    ) -> Iterator[Tensor]:
        """Audio [T] in pieces, from chunks [M, F] of one mel, as they come; see `wg.streaming`.

        The pieces join to what one call over the whole mel gives, to rounding. How to sample is
        said as in that call.
        """
        from wg.streaming import stream

        options = (synthesis or self.synthesis).override(steps, schedule, sampler, consistency)
        return stream(self, chunks, options, whole_seeds(seed, 1)[0])

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
            real = torch.as_tensor(lengths)
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


def as_tensor(array: np.ndarray) -> Tensor:
    """A copy of a numeric array; InputError for any other."""
    if array.dtype.kind not in "fiub":
        raise InputError(f"mel of {array.dtype}; a mel holds floating-point numbers")
    return torch.from_numpy(np.array(array))
