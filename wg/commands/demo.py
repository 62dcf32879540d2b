"""`wg demo`: a page in the browser that speaks a recording again, or a text, with a model."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from wg.commands.demo_parts import (
    chosen_way,
    heading,
    require_gradio,
    sampling_row,
    sentence,
    shown,
    sound,
)
from wg.commands.demo_text import text_page
from wg.commands.options import Options
from wg.commands.sampling import device_of
from wg.data.audio import protect_peak, read_channels
from wg.errors import InputError
from wg.inference.kinds import load_trained
from wg.inference.model import NOT_FOR
from wg.inference.pretrained import DEFAULT
from wg.inference.text_to_speech import TextToSpeech
from wg.inference.vocoder import Vocoder
from wg.mel.extract import log_mel
from wg.mel.griffinlim import griffin_lim
from wg.pictures import spectrogram_pair
from wg.processes.devices import synchronise
from wg.rates import check_rates

LARGEST = "50mb"  # of an upload
RECORDINGS = "page/recording"  # beside a folder of stage pack: its test set
EXAMPLES = 4
ITERATIONS = 32  # of Griffin-Lim
LONGEST = 30.0  # seconds of a recording that are used
CHANNELS = 64  # of a recording, at most
Sound = tuple[int, np.ndarray]  # Hz, 16-bit samples
Answer = tuple[Sound, Sound, Sound, str, str]


def demo(arguments: Sequence[str]) -> None:
    """Serves the page until it is interrupted: `wg demo --vocoder DIR`."""
    options_parser = Options(prog="wg demo", allow_abbrev=False)
    options_parser.add_argument(
        "--vocoder",
        "--model",
        default=DEFAULT,
        help="folder, hub id or name of a vocoder, or of a model that reads text [%(default)s]",
    )
    options_parser.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0: to the whole network; [%(default)s: to none]"
    )
    options_parser.add_argument("--port", type=int, default=7860, help="[%(default)s]")
    options_parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... [cpu]")
    options_parser.add_argument(
        "--examples", type=Path, help="folder of recordings to choose from [the model's test set]"
    )
    options = options_parser.parse_args(arguments)
    if options.examples and not options.examples.is_dir():
        raise InputError(f"--examples {options.examples}: no such folder")
    if not 1 <= options.port <= 65535:
        raise InputError(f"--port {options.port}: give 1 to 65535")
    require_gradio()
    check_port(options.host, options.port)
    model = loaded(options.vocoder).to(device_of(options.device))
    name = options.vocoder.rstrip("/")
    with tempfile.TemporaryDirectory(prefix="wg-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # what visitors upload goes with the page
        examples = examples_of(options.examples or Path(name).parent / RECORDINGS)
        if isinstance(model, TextToSpeech):
            page = text_page(name, model, Path(folder))
        else:
            page = page_of(name, model, examples, Path(folder))
        try:
            page.launch(
                server_name=options.host,
                server_port=options.port,
                max_file_size=LARGEST,
                allowed_paths=[str(Path(path).parent) for path in examples[:1]],
            )
        except OSError as error:
            raise InputError(f"--port {options.port}: cannot serve there ({error})") from None


def check_port(host: str, port: int) -> None:
    """InputError for an address that cannot be served at, before a model is loaded."""
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"--port {port}: cannot serve there on {host} ({reason}); give another --port"
        ) from None


def loaded(source: str) -> Vocoder | TextToSpeech:
    """The model of a folder or hub id; InputError for one that takes neither mel nor text."""
    model = load_trained(source)
    if isinstance(model, Vocoder | TextToSpeech):
        return model
    raise InputError(f"{source}: {NOT_FOR[model.info()['conditions']]}")


def examples_of(folder: Path) -> list[str]:
    """The first recordings of a folder; [] where it is none."""
    found = sorted(path for path in folder.glob("*") if path.suffix in (".wav", ".flac"))
    return [str(path.resolve()) for path in found[:EXAMPLES]]


def page_of(name: str, vocoder: Vocoder, examples: list[str], folder: Path) -> Any:
    """The page of a vocoder, a gradio Blocks, with its pictures in a folder."""
    gradio = require_gradio()

    def answer(path: str | None, steps: float, sampler: str, seed: float) -> Answer:
        try:
            return speak(vocoder, path, int(steps), sampler, int(seed), folder)
        except InputError as error:
            raise gradio.Error(str(error)) from None

    with gradio.Blocks(title=name, analytics_enabled=False) as page:
        gradio.Markdown(heading(name, vocoder))
        label = f"recording (the first {LONGEST:g} s of it are used)"
        recording = gradio.Audio(label=label, type="filepath", elem_id="recording", buttons=[])
        if examples:
            gradio.Examples(examples, recording)
        steps, sampler, seed = sampling_row(vocoder)
        button = gradio.Button("speak", variant="primary", elem_id="speak")
        said = gradio.Markdown(elem_id="said")
        with gradio.Row():
            before = shown(gradio.Audio, "before", "before")
            after = shown(gradio.Audio, "after", "after")
            floor = shown(gradio.Audio, "floor", "Griffin-Lim")
        picture = shown(gradio.Image, "picture", "before and after")
        button.click(
            answer, [recording, steps, sampler, seed], [before, after, floor, picture, said]
        )
    return page


def speak(
    vocoder: Vocoder, path: str | None, steps: int, sampler: str, seed: int, folder: Path
) -> Answer:
    """(before, after, Griffin-Lim, picture file, sentence).

    InputError for a recording that cannot be used.
    """
    if path is None:
        raise InputError("no recording yet: upload or record one")
    rate = vocoder.mel_spec.sample_rate
    wave = at_rate(Path(path), rate)
    mel = log_mel(wave, vocoder.mel_spec)
    synchronise(vocoder.device)
    started = time.perf_counter()
    spoken = vocoder(mel, chosen_way(vocoder, steps, sampler), seed=seed)
    synchronise(vocoder.device)
    seconds = time.perf_counter() - started
    spoken, gain = protect_peak(spoken.cpu())
    picture = folder / f"{time.time_ns()}.png"
    spectrogram_pair(wave, spoken, rate, picture)
    line = sentence(len(spoken) / rate, seconds, steps, gain)
    floor, _ = protect_peak(griffin_lim(mel, vocoder.mel_spec, ITERATIONS, 0))
    return sound(wave, rate), sound(spoken, rate), sound(floor, rate), str(picture), line


def at_rate(path: Path, rate: int) -> Tensor:
    """The first `LONGEST` seconds of a recording as [T] at `rate` Hz, its channels mixed."""
    from torchaudio.functional import resample

    try:
        header = soundfile.info(str(path))
        check_rates(header.samplerate, rate)
        if header.channels > CHANNELS:
            raise InputError(f"{header.channels} channels; give at most {CHANNELS}")
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None
    except (soundfile.LibsndfileError, OSError):
        pass  # read_channels says what is wrong
    samples, found = read_channels(path, path.name, LONGEST)
    wave = torch.from_numpy(samples.mean(1))
    return resample(wave, found, rate)
