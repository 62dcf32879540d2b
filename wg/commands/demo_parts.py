"""What both pages of `wg demo` have: sampling options, sounds, the sentence below the button."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from wg.diffusion.samplers import SAMPLERS
from wg.errors import InputError
from wg.inference.model import SamplingConfig, TrainedModel


def require_gradio() -> Any:
    """The gradio module; InputError where it is not installed."""
    try:
        import gradio  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise InputError("the page needs gradio: pip install 'wg[demo]'") from None
    return gradio


def heading(name: str, model: TrainedModel) -> str:
    """Markdown of what the model is called and is."""
    return f"# {name}\n\n" + ", ".join(f"{key} {value}" for key, value in model.info().items())


def sampling_row(model: TrainedModel) -> tuple[Any, Any, Any]:
    """A row of steps, sampler and seed."""
    gradio = require_gradio()
    with gradio.Row():
        own = own_steps(model)
        steps = gradio.Slider(1, max(100, own), own, step=1, label="steps", elem_id="steps")
        sampler = gradio.Dropdown(list(SAMPLERS), value=model.synthesis.sampler, label="sampler")
        seed = gradio.Number(0, precision=0, label="seed")
    return steps, sampler, seed


def shown(kind: Any, name: str, label: str) -> Any:
    """A player or picture of gradio's to look at; it can be downloaded, and shared with nobody."""
    return kind(label=label, interactive=False, elem_id=name, buttons=["download"])


def own_steps(model: TrainedModel) -> int:
    """Steps of the way to sample that the folder has."""
    return len(model.levels(model.synthesis)) - 1


def chosen_way(model: TrainedModel, steps: int, sampler: str) -> SamplingConfig:
    """The folder's own way where the page was left as it was, else so many even steps."""
    own = model.synthesis
    if (steps, sampler) == (own_steps(model), own.sampler):
        return own
    return own.override(steps, None, sampler)


def sentence(audio: float, took: float, steps: int, gain: float) -> str:
    """Seconds of audio, seconds it took, and the real-time factor."""
    line = f"{audio:.2f} s of audio in {took:.2f} s: real-time factor {took / audio:.3f}"
    return f"{line} with {steps} steps" + ("" if gain == 1 else "; turned down to full scale")


def sound(wave: Tensor, rate: int) -> tuple[int, np.ndarray]:
    """What gradio plays of audio [T] in [-1, 1]: (Hz, 16-bit samples [T])."""
    return rate, (wave.clamp(-1, 1) * 32767).round().short().numpy()
