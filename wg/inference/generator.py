"""A trained model that takes no mel: samples, and clips denoised or interpolated with it.

Needs torch, numpy and safetensors only. T samples a clip, B clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wg.diffusion.noise import PositionalNoise
from wg.diffusion.process import diffuse
from wg.errors import InputError
from wg.inference.model import SamplingConfig, TrainedModel, released
from wg.models.denoiser import DenoiserCondition
from wg.models.network import ClassConfig


class Generator(TrainedModel):
    """Waveforms from noise, of a class where the model knows classes.

    `gen = Generator.from_pretrained(folder); waves = gen(seeds=[0, 1], classes=["two", "six"])`
    """

    takes = ("class", "none")
    model: ClassConfig

    @torch.inference_mode()
    def __call__(
        self,
        seeds: Sequence[int],
        classes: Sequence[str] | None = None,
        synthesis: SamplingConfig | None = None,
    ) -> Tensor:
        """Waveforms [B, T], one a seed; `classes` names one a seed, if the model knows any.

        A clip depends on its seed and class, not on the batch. T is `synthesis.samples`.
        """
        options = self.chosen(synthesis)
        if options.samples is None or options.samples < 1:
            raise InputError(f"length of {options.samples} samples; give at least 1")
        if not len(seeds):
            raise InputError("no seeds; give one for each clip")
        condition = self._condition(len(seeds), classes)
        levels = self.levels(options)
        noise = PositionalNoise(seeds, self.device)
        return released(self.reverse(condition, levels, noise, options, options.samples))

    @torch.inference_mode()
    def denoise(
        self, wave: Tensor, step: int, classes: Sequence[str] | None = None, seed: int = 0
    ) -> Tensor:
        """Zero-shot speech denoising as in the DiffWave paper: [B, T] -> [B, T].

        The noisy waves themselves are taken for x_t at t = `step`, and every step from there to
        1 is undone; the paper takes t = 25 of 200 for white noise of a tenth.
        """
        check_waves(wave)
        condition = self._condition(len(wave), classes)
        levels = self._levels(step)
        noise = PositionalNoise([seed + row for row in range(len(wave))], self.device)
        start = wave.to(self.device)
        return released(
            self.reverse(condition, levels, noise, self.synthesis, wave.shape[1], start)
        )

    @torch.inference_mode()
    def interpolate(
        self,
        waves: tuple[Tensor, Tensor],
        share: float,
        step: int,
        classes: Sequence[str] | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Between two clips in latent space, as in the DiffWave paper: two [T] -> [T].

        x_t = (1 - share) x_t^a + share x_t^b at t = `step`, then every step to 1; the paper takes
        t = 50 of 200. Both are diffused with the same noise, so that x_t is as noisy as step t
        (ours).
        """
        if waves[0].shape != waves[1].shape:
            shapes = [list(wave.shape) for wave in waves]
            raise InputError(f"clips of shapes {shapes[0]} and {shapes[1]}; give the same length")
        if not 0 <= share <= 1:
            raise InputError(f"share {share:g}; give 0 (the first clip) to 1 (the second)")
        both = torch.stack(waves)
        check_waves(both)
        condition = self._condition(1, classes)
        levels = self._levels(step)
        source = PositionalNoise([seed], self.device)
        level = levels[-1:].expand(2)
        x = diffuse(both.to(self.device), level, source(0, both.shape[1]).expand(2, -1))
        mixed = (1 - share) * x[:1] + share * x[1:]
        length = mixed.shape[1]
        return released(self.reverse(condition, levels, source, self.synthesis, length, mixed)[0])

    def _levels(self, step: int) -> Tensor:
        """Training levels 1 .. l_step."""
        last = self.diffusion.steps
        if not 1 <= step <= last:
            raise InputError(f"step {step}; the model was trained on steps 1 to {last}")
        return self.diffusion.levels()[: step + 1]

    def _condition(self, count: int, classes: Sequence[str] | None) -> DenoiserCondition:
        """What `count` clips are conditioned on."""
        names = self.model.classes
        if not names:
            if classes is not None:
                given = ", ".join(repr(name) for name in classes) or "list"
                raise InputError(f"class {given} given, but the model is unconditional")
            return self.denoiser.condition({})
        if classes is None:
            raise InputError(f"the model needs a class; choose from: {', '.join(names)}")
        if len(classes) != count:
            raise InputError(f"{len(classes)} classes for {count} clips; give one each")
        labels = [self.model.class_index(name) for name in classes]
        return self.denoiser.condition({"class": torch.tensor(labels, device=self.device)})


def check_waves(waves: Tensor) -> None:
    """InputError unless they are [B, T], not empty and finite."""
    if waves.ndim != 2 or not waves.shape[1]:
        raise InputError(f"waves of shape {list(waves.shape)}; give [clips, samples], not empty")
    if not torch.isfinite(waves).all():
        raise InputError("a wave holds NaN or infinite values; look at what made it")
