"""What every trained model is: a network, what it needs to be sampled, its folder on disk.

Needs torch, numpy and safetensors only. The folder (`wg.inference.folder`) can lie on the Hugging
Face hub.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from wg.diffusion.consistency import Consistency
from wg.diffusion.noise import PositionalNoise
from wg.diffusion.plan import finite, sampling_levels
from wg.diffusion.process import DiffusionConfig
from wg.diffusion.samplers import Clip, Correct, check_clip, sampler
from wg.diffusion.sampling import Progress, correction
from wg.diffusion.schedules import Schedule
from wg.errors import InputError
from wg.inference.folder import (
    check_sizes,
    from_plain,
    load_weights,
    read_config,
    write_folder,
)
from wg.inference.history import History
from wg.inference.pretrained import local_folder, push
from wg.mel.spec import MelSpec
from wg.models import build_network, conditions_of, entry, load
from wg.models.denoiser import Denoiser, DenoiserCondition
from wg.models.fused import fuse
from wg.models.int8 import int8_layers, use_int8
from wg.models.network import ModelConfig, Network
from wg.moved import renamed
from wg.processes.devices import computes_in_bfloat16, computes_in_int8
from wg.processes.memory import keep_freed, keep_some

if TYPE_CHECKING:
    from typing_extensions import Self

Precision = Literal["fp32", "bf16", "int8"]
NOT_FOR = {  # what to do with a model of these conditions instead
    "mel": "this model takes a mel: use wg vocode, or Vocoder",
    "text": "this model reads text: use wg speak, or TextToSpeech",
    "class": "this model takes a class, not a mel: use wg sample --class, or Generator",
    "none": "this model is unconditional and takes no mel: use wg sample, or Generator",
}


MOST_SAMPLES = 2**24  # of a clip that a model without mel generates


@dataclass(frozen=True)
class SamplingConfig:
    """How to sample: a schedule (see `inference_levels`), a sampler, what is bounded.

    `clip`: the bound on the estimate of x_0, or "state": the noisy state to +-1, as lmnt's code.
    """

    schedule: Schedule = "50"
    sampler: str = "ancestral"
    clip: Clip = None
    consistency: Consistency | None = None  # of estimates with the mel
    samples: int | None = None  # that a model without mel generates

    def with_schedule(self, schedule: str) -> SamplingConfig:
        """The same with another schedule."""
        return replace(self, schedule=schedule)

    def override(
        self,
        steps: int | None,
        schedule: Schedule | None,
        sampler: str | None,
        consistency: Consistency | int | None = None,
    ) -> SamplingConfig:
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


class TrainedModel:
    """A network with what it needs to be sampled, and its folder on disk."""

    takes: tuple[str, ...] = ()  # conditions of the models that a subclass serves
    model: ModelConfig

    def __init__(
        self,
        network: Network,
        model: ModelConfig,
        mel_spec: MelSpec,
        diffusion: DiffusionConfig,
        synthesis: SamplingConfig,
        history: History | None = None,
    ) -> None:
        if conditions_of(model) not in self.takes:
            raise InputError(NOT_FOR[conditions_of(model)])
        self.network = network.eval().requires_grad_(False)
        self.model, self.mel_spec = model, mel_spec
        self.diffusion, self.synthesis = diffusion, synthesis
        self.history = history or History()
        self._compiled: Callable[..., Tensor] | None = None
        keep_some()

    def __repr__(self) -> str:
        said = self.info()
        count = f"{said['parameters'] / 1e6:.3g} M parameters"
        mel = f"{said['bands']} bands, hop {said['hop_length']}, {said['sample_rate']} Hz"
        sampling = f"schedule {said['schedule']}, {said['sampler']}"
        eight = any(layer.int8 for layer in int8_layers(self.network))
        where = f"{said['dtype']}{' and int8' if eight else ''} on {said['device']}"
        return f"{type(self).__name__}({said['model']}: {count}; {mel}; {sampling}; {where})"

    @property
    def device(self) -> torch.device:
        """The device that the weights are on, where it computes."""
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

    def optimize(self, precision: Precision = "fp32") -> Self:
        """Sets what makes synthesis on a CPU faster at the same output; returns itself.

        The process keeps freed memory (`wg.processes.memory`), and the network computes in this
        `precision` by kernels of this CPU, see `lower`. Elsewhere than on a CPU nothing changes.
        InputError for another precision.
        """
        if precision not in get_args(Precision):
            raise InputError(f"precision is {precision!r}; give 'fp32', 'bf16' or 'int8'")
        if self.device.type != "cpu":
            return self
        keep_freed()
        return self.lower(precision)

    def lower(self, precision: Precision) -> Self:
        """Network by kernels of this CPU, in fewer bits as far as they can; returns itself.

        "bf16": in bfloat16; "int8": large convolutions in 8 bits besides (`wg.models.int8`). Nearly
        the same output, see docs/speed.md. The first call compiles kernels (`wg.models.fused`), up
        to four seconds, once. Load the model again to have float32 back.
        """
        if precision == "int8" and computes_in_int8():
            use_int8(self.network)
        if precision != "fp32" and computes_in_bfloat16():
            self.bfloat16()
        fuse(self.network)
        return self

    def compile(self, backend: str = "inductor") -> Self:
        """Compiles the network with torch.compile for any length; returns itself."""
        self._compiled = torch.compile(self.network.denoise, backend=backend, dynamic=True)
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

    def chosen(self, synthesis: SamplingConfig | None) -> SamplingConfig:
        """`synthesis`, or the model's own; InputError for what is not one."""
        if not isinstance(synthesis, SamplingConfig | None):
            raise InputError(
                f"synthesis is {synthesis!r}; give a SamplingConfig, such as SamplingConfig('6') "
                "for 6 steps"
            )
        return synthesis or self.synthesis

    def levels(self, options: SamplingConfig) -> Tensor:
        """Levels [N + 1] that these options go through, starting from noise.

        A step count means the schedule that a search found for it, where there is one.
        """
        found = self.history.levels(options.schedule, options.sampler)
        return sampling_levels(found or options.schedule, options.sampler, self.diffusion)

    @property
    def denoiser(self) -> Denoiser:
        """The network in its preconditioning; sampling is in float32, whatever the weights are."""
        return Denoiser(self.network, self.diffusion, self.mel_spec, self._compiled)

    def correction(self, condition: DenoiserCondition, options: SamplingConfig) -> Correct | None:
        """What makes estimates agree with the mel, given or predicted; InputError without one."""
        consistency = options.consistency
        if consistency is not None and consistency.iterations and condition.mel is None:
            raise InputError(
                f"consistency of {consistency.iterations} iterations, but this {self.model.name} "
                "has no mel to be consistent with; leave consistency off"
            )
        return correction(consistency, condition.mel, self.mel_spec, condition.real)

    def reverse(
        self,
        condition: DenoiserCondition,
        levels: Tensor,
        noise: PositionalNoise,
        options: SamplingConfig,
        length: int,
        start: Tensor | None = None,
        correct: Correct | None = None,
        progress: Progress | None = None,
        first: int = 0,
    ) -> Tensor:
        """Waveforms [B, T] of `length` from noise, or from `start`, at levels[-1].

        `first`: where in the noise, in samples.
        """
        wave = self.denoiser.sample(
            condition,
            levels,
            lambda k: noise(k, length, first),
            options.sampler,
            options.clip,
            correct,
            start,
            progress,
        )
        return finite(wave, options.schedule)

    def save_pretrained(self, folder: Path | str, card: str | None = None) -> None:
        """Writes the folder; `card`: its README.md; None: the one that is there, or a short one."""
        sections = {
            "model": asdict(self.model),
            "mel": self.mel_spec.to_dict(),
            "diffusion": asdict(self.diffusion),
            "synthesis": asdict(self.synthesis),
            "history": self.history.to_dict(),
        }
        if card is None and not (Path(folder) / "README.md").is_file():
            card = self._card()
        write_folder(Path(folder), self.network.state_dict(), sections, card)

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
        """The model of a folder that `save_pretrained` (or stage pack) wrote, or of a hub id.

        A folder needs no network, nor does a hub id that the cache holds.
        """
        return cls(*model_parts(source, revision))


def released(wave: Tensor) -> Tensor:
    """A wave of inference mode as a tensor that its owner may change in place and differentiate."""
    with torch.inference_mode(False):
        return wave.clone()


def check_stored(synthesis: SamplingConfig) -> None:
    """InputError for a `synthesis` of a config.json that is none."""
    schedule, samples = synthesis.schedule, synthesis.samples
    levels = isinstance(schedule, tuple) and all(isinstance(n, int | float) for n in schedule)
    if not isinstance(schedule, str) and not levels:
        raise InputError(f"synthesis.schedule is {str(schedule)[:60]!r}; a name, or levels")
    if not isinstance(synthesis.sampler, str):
        raise InputError(f"synthesis.sampler is {str(synthesis.sampler)[:60]!r}; give a name")
    if samples is not None and (not isinstance(samples, int) or not 1 <= samples <= MOST_SAMPLES):
        raise InputError(f"synthesis.samples is {str(samples)[:60]!r}; give 1 to {MOST_SAMPLES}")
    sampler(synthesis.sampler)
    check_clip(synthesis.clip)


class ModelParts(NamedTuple):
    """What a trained model is made of, in the order of its arguments."""

    network: Network
    model: ModelConfig
    mel_spec: MelSpec
    diffusion: DiffusionConfig
    synthesis: SamplingConfig
    history: History | None


def model_parts(source: Path | str, revision: str | None = None) -> ModelParts:
    """The parts of a model's folder; see `TrainedModel.from_pretrained`."""
    folder = local_folder(source, revision)
    path = folder / "config.json"
    config = read_config(folder)
    try:
        model_class = load(entry(config["model"]["name"]).config)
        model = from_plain(model_class, config["model"])
        mel_spec = MelSpec.from_dict(config["mel"])
        diffusion = from_plain(DiffusionConfig, config["diffusion"])
        synthesis = from_plain(SamplingConfig, config["synthesis"])
        check_stored(synthesis)
        history = History.from_dict(config["history"]) if "history" in config else None
        with torch.device("meta"):
            empty = build_network(model, mel_spec, diffusion)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (TypeError, KeyError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{path}: not as wg wrote it ({error!r}); pack again") from None
    check_sizes(empty, folder)
    network = build_network(model, mel_spec, diffusion)
    load_weights(network, folder, config)
    return ModelParts(network, model, mel_spec, diffusion, synthesis, history)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed(__name__, name)
