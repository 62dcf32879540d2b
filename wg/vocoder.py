"""A trained vocoder: mels in, waveforms out. Needs torch, numpy and safetensors only.

`Trained` is what it shares with `wg.generator`, whose models take no mel.

On disk it is a folder: `model.safetensors`, `config.json` (model, MelSpec, training schedule,
default schedule) and `README.md`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wg.diffusion.noise import PositionalNoise
from wg.diffusion.plan import finite, sampling_levels
from wg.diffusion.prior import deviation, whitened
from wg.diffusion.process import TrainingSchedule
from wg.diffusion.samplers import Denoise, sampler
from wg.diffusion.schedules import Schedule
from wg.errors import InputError, nearest
from wg.history import History
from wg.mel.spec import MelSpec
from wg.models import build_network, conditions_of, entry, load

if TYPE_CHECKING:
    from typing_extensions import Self

FORMAT = 1
NOT_FOR = {  # what to do with a model of these conditions instead
    "mel": "this model takes a mel: use wg vocode, or Vocoder",
    "class": "this model takes a class, not a mel: use wg sample --class, or Generator",
    "none": "this model is unconditional and takes no mel: use wg sample, or Generator",
}


@dataclass(frozen=True)
class Synthesis:
    """How to sample: a schedule (see `inference_levels`), a sampler, the bound on x_0."""

    schedule: Schedule = "50"
    sampler: str = "ancestral"
    clip: float | None = None
    samples: int | None = None  # that a model without mel generates

    def with_schedule(self, schedule: str) -> Synthesis:
        """The same with another schedule."""
        return replace(self, schedule=schedule)


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

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Self:
        """Moves the weights; returns itself."""
        self.network.to(device)
        return self

    def levels(self, options: Synthesis) -> Tensor:
        """Levels [N + 1] that these options go through, starting from noise.

        A step count means the schedule that a search found for it, where there is one.
        """
        found = self.history.levels(options.schedule, options.sampler)
        return sampling_levels(found or options.schedule, options.sampler, self.diffusion)

    def reverse(
        self,
        cond: Any,
        y: Tensor,
        levels: Tensor,
        noise: PositionalNoise,
        options: Synthesis,
        sigma: Tensor | float = 1.0,
    ) -> Tensor:
        """Waveforms [B, T] from y = x / sigma at levels[-1], down to levels[0]."""
        length = y.shape[1]
        bound = None if options.clip is None else options.clip / sigma
        wave = sigma * sampler(options.sampler)(
            self.denoiser(cond, sigma), y, levels, lambda k: noise(k, length), bound
        )
        return finite(wave, options.schedule)

    def denoiser(self, cond: Any, sigma: Tensor | float) -> Denoise:
        """Of y = x / sigma, as samplers call it."""
        network: Any = self.network

        def estimate(x: Tensor, level: Tensor) -> Tensor:
            return self.diffusion.estimate(
                lambda scaled, told: network.denoise(scaled, told, cond), x, level, sigma
            )

        return whitened(estimate, sigma)

    def save_pretrained(self, folder: Path, card: str) -> None:
        """Writes the folder; `card` is the text of its README.md."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        temporary = folder / "model.safetensors.tmp"
        save_file(state, temporary, metadata={"format": "pt"})
        os.replace(temporary, folder / "model.safetensors")
        config = {
            "format": FORMAT,
            "model": asdict(self.model),
            "mel": self.mel_spec.to_dict(),
            "diffusion": asdict(self.diffusion),
            "synthesis": asdict(self.synthesis),
            "history": self.history.to_dict(),
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        (folder / "README.md").write_text(card, "utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """The model of a folder that `save_pretrained` (or stage 7, pack) wrote."""
        folder = Path(folder)
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name}: no such file; {folder} is not a vocoder folder")
        path = folder / "config.json"
        config = read_config(path)
        try:
            model_class = load(entry(config["model"]["name"]).config)
            model = from_plain(model_class, config["model"])
            mel_spec = MelSpec.from_dict(config["mel"])
            diffusion = from_plain(TrainingSchedule, config["diffusion"])
            synthesis = from_plain(Synthesis, config["synthesis"])
            history = History.from_dict(config["history"]) if "history" in config else None
            network = build_network(model, mel_spec)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (TypeError, KeyError) as error:
            raise InputError(f"{path}: not as wg wrote it ({error!r}); pack again") from None
        load_weights(network, folder / "model.safetensors")
        return cls(network, model, mel_spec, diffusion, synthesis, history)


class Vocoder(Trained):
    """Mel to waveform with a trained network.

    `voc = Vocoder.from_pretrained(folder); wave = voc(mel, Synthesis("6"), seeds=[1])`
    """

    takes = ("mel",)

    @torch.inference_mode()
    def __call__(
        self,
        mel: Tensor,
        synthesis: Synthesis | None = None,
        seeds: Sequence[int] = (0,),
        frames: Tensor | None = None,
    ) -> Tensor:
        """Waveform [T] of a mel [M, F], or [B, T] of a batch [B, M, F]; T = F * hop.

        `seeds`: one an utterance; the result depends on it, not on the batch. `frames` [B]:
        how many of a padded mel are real; samples beyond them mean nothing.
        """
        options = synthesis or self.synthesis
        batch = self._batch(mel, frames, seeds)
        length = batch["mel"].shape[-1] * self.mel_spec.hop_length
        levels = self.levels(options)
        noise = PositionalNoise(seeds, self.device)
        network: Any = self.network
        cond = network.condition(batch)
        sigma = deviation(batch["mel"], self.mel_spec, self.diffusion)
        wave = self.reverse(cond, noise(0, length), levels, noise, options, sigma)
        return wave if mel.ndim == 3 else wave[0]

    def stream(
        self,
        chunks: Iterable[Tensor | np.ndarray],
        synthesis: Synthesis | None = None,
        seed: int = 0,
    ) -> Iterator[Tensor]:
        """Audio [T] in pieces, from chunks [M, F] of one mel, as they come; see `wg.streaming`.

        The pieces join to what one call over the whole mel gives, to rounding.
        """
        from wg.streaming import stream

        return stream(self, chunks, synthesis or self.synthesis, seed)

    def _batch(self, mel: Tensor, frames: Tensor | None, seeds: Sequence[int]) -> dict[str, Tensor]:
        bands = self.mel_spec.n_mels
        if mel.ndim not in (2, 3) or mel.shape[-2] != bands or not mel.shape[-1]:
            raise InputError(
                f"mel of shape {list(mel.shape)}; this vocoder takes [{bands}, frames] or "
                f"[batch, {bands}, frames]"
            )
        if not torch.isfinite(mel).all():
            raise InputError("mel holds NaN or infinite values; look at what computed it")
        batch = mel if mel.ndim == 3 else mel[None]
        if len(seeds) != len(batch):
            raise InputError(f"{len(seeds)} seeds for {len(batch)} utterances; give one each")
        tensors = {"mel": batch.to(self.device, torch.float32)}
        if frames is not None and bool((frames < batch.shape[-1]).any()):
            tensors["frames"] = frames.to(self.device)
        return tensors


def read_config(path: Path) -> dict[str, Any]:
    """The contents of config.json."""
    try:
        config = json.loads(path.read_text("utf-8"))
        missing = {"format", "model", "mel", "diffusion", "synthesis"} - set(config)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not readable JSON ({error})") from None
    if missing:
        raise InputError(f"{path}: keys {sorted(missing)} are missing; not a wg vocoder")
    if config["format"] != FORMAT:
        raise InputError(f"{path}: format {config['format']}; this wg reads format {FORMAT}")
    return config


def from_plain(schema: type, content: dict[str, Any]) -> Any:
    """A config dataclass from JSON: lists become tuples, unknown keys are errors."""
    names = {f.name for f in fields(schema)}
    for key in content:
        if key not in names:
            raise InputError(f"unknown key {key!r}; {nearest(key, names)}")
    return schema(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})


def load_weights(network: nn.Module, path: Path) -> None:
    """Loads a safetensors file; every key and shape must fit."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from None
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: weights do not fit config.json: {reason}") from None
