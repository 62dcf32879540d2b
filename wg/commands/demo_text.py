"""The page of `wg demo` for a model that reads text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from wg.commands.demo_parts import (
    chosen_way,
    heading,
    require_gradio,
    sampling_row,
    sentence,
    shown,
    sound,
)
from wg.data.audio import protect_peak
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.text_to_speech import TextToSpeech, Voice
from wg.pictures import spectrogram
from wg.processes.devices import synchronise

LONGEST = 1000  # characters
SpokenAnswer = tuple[tuple[int, np.ndarray], str, str]


def text_page(name: str, model: TextToSpeech, folder: Path) -> Any:
    """The page, a gradio Blocks: a text box, the speaker, the pace; pictures go to a folder."""
    gradio = require_gradio()
    speakers = list(model.model.speakers)

    def answer(
        text: str, speaker: str | None, pace: float, steps: float, sampler: str, seed: float
    ) -> SpokenAnswer:
        try:
            voice = Voice(speaker, pace, int(seed))
            options = chosen_way(model, int(steps), sampler)
            return say(model, text, voice, options, folder)
        except InputError as error:
            raise gradio.Error(str(error)) from None

    with gradio.Blocks(title=name, analytics_enabled=False) as page:
        gradio.Markdown(heading(name, model))
        text = gradio.Textbox(label="text", lines=3, elem_id="text")
        with gradio.Row():
            speaker = gradio.Dropdown(
                speakers,
                value=speakers[0] if speakers else None,
                label="speaker",
                visible=len(speakers) > 1,
                elem_id="speaker",
            )
            pace = gradio.Slider(0.5, 2, value=1, step=0.05, label="pace", elem_id="pace")
        steps, sampler, seed = sampling_row(model)
        button = gradio.Button("speak", variant="primary", elem_id="speak")
        said = gradio.Markdown(elem_id="said")
        speech = shown(gradio.Audio, "speech", "speech")
        picture = shown(gradio.Image, "picture", "spectrogram")
        asked = [text, speaker, pace, steps, sampler, seed]
        button.click(answer, asked, [speech, picture, said])
    return page


def say(
    model: TextToSpeech, text: str, voice: Voice, synthesis: SamplingConfig, folder: Path
) -> SpokenAnswer:
    """(speech, picture file, sentence); InputError for a text that cannot be spoken."""
    if not text.strip():
        raise InputError("no text yet: write one")
    if len(text) > LONGEST:
        raise InputError(
            f"a text of {len(text)} characters; at most {LONGEST} here, for more use wg speak"
        )
    levels = model.levels(synthesis)
    model.sentences(text, voice)  # so that dictionaries are not loaded within the time
    synchronise(model.device)
    started = time.perf_counter()
    wave = model(text, voice, synthesis)
    synchronise(model.device)
    seconds = time.perf_counter() - started
    wave, gain = protect_peak(wave.cpu())
    rate = model.mel_spec.sample_rate
    picture = folder / f"{time.time_ns()}.png"
    spectrogram(wave, rate, picture)
    line = sentence(len(wave) / rate, seconds, len(levels) - 1, gain)
    return sound(wave, rate), str(picture), line
