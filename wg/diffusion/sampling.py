"""From noise to waveform: the one loop that inference, training and export share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from wg.diffusion.consistency import Consistency, MelConsistency
from wg.diffusion.prior import Prior
from wg.diffusion.samplers import Clip, Correct, Denoise, Noise, check_clip, sampler
from wg.mel.spec import MelSpec

Progress = Callable[[int, int], None]  # told after each estimate: (done, in all)


def reverse(
    estimate: Denoise,
    levels: Tensor,
    noise: Noise,
    prior: Prior,
    name: str = "ancestral",
    clip: Clip = None,
    correct: Correct | None = None,
    start: Tensor | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Waveforms [B, T] at levels[0], by the sampler `name`.

    `estimate(x [B, T], level)` is the noise in x; `wg.models.denoiser.Denoiser.sample` has it.
    `noise(k)` is white noise [B, T] of step k, 0 for what `start` is where none is given: the
    prior's noise at levels[-1].
    """
    check_clip(clip)
    chosen = sampler(name)
    done, total = 0, len(chosen.steps(levels))

    def denoise(x: Tensor, level: float) -> Tensor:
        nonlocal done
        eps = estimate(x, level)
        done += 1
        if progress is not None:
            progress(done, total)
        return eps

    x = prior.colour(noise(0)) if start is None else start
    return chosen(denoise, x, levels, lambda k: prior.colour(noise(k)), clip, correct)


def correction(
    options: Consistency | None, mel: Tensor | None, spec: MelSpec, frames: Tensor | None = None
) -> Correct | None:
    """What makes estimates agree with mels [B, M, F]; None where nothing is asked for."""
    if options is None or not options.iterations:
        return None
    assert mel is not None
    consistent = MelConsistency(options, mel, spec, frames)
    return lambda x_0, level: consistent(x_0) if options.acts_at(level) else x_0
