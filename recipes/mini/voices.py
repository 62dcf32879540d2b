"""The voices of the mini corpus: sentences spoken by espeak-ng, the same bytes every time.

Run as a program, `voices.py SENTENCES FOLDER JOBS`, so that the C library and the forks below
never meet the threads of torch.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import sys
import wave
from array import array
from dataclasses import dataclass
from functools import partial
from pathlib import Path

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples to a callback, no thread
_UTF8, _BY_CHARACTER = 1, 1  # without espeakENDPAUSE: 0.3 s of zeros
_RATE, _VOLUME, _PITCH = 1, 2, 3  # espeak_PARAMETER
_LOUDNESS = 70  # of 100, at which espeak-ng saturates now and then
_SEED = 1  # of flutter and breath


@dataclass(frozen=True)
class Voice:
    """An espeak-ng voice: accent and variant, words a minute, pitch from 0 to 100."""

    speaker: str
    name: str
    rate: int
    pitch: int


VOICES = (
    Voice("boston", "en-us", 165, 50),
    Voice("london", "en-gb-x-rp+f3", 170, 50),
    Voice("glasgow", "en-gb-scotland+m3", 160, 70),
    Voice("kingston", "en-029+f1", 165, 45),
    Voice("leeds", "en-gb-x-gbclan+m4", 155, 35),
)


@dataclass(frozen=True)
class Sentence:
    """One line of the corpus and who speaks it."""

    id: str
    text: str
    normalised: str
    voice: Voice


def sentences(path: Path) -> list[Sentence]:
    """The lines `text` or `text|normalised text`, the voices taking turns."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text, _, normalised = line.partition("|")
        voice = VOICES[(number - 1) % len(VOICES)]
        found.append(Sentence(f"mini-{number:04d}", text, normalised or text, voice))
    return found


def render(path: Path, folder: Path, jobs: int) -> None:
    """Write `metadata.csv` and `wavs/`, 16-bit mono at espeak-ng's 22,050 Hz, to `folder`.

    A process of its own speaks each sentence: espeak-ng keeps state from one to the next, even
    over espeak_Terminate, so only a fresh process gives the same bytes in any order.
    """
    lines = sentences(path)
    (folder / "wavs").mkdir(parents=True)
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        pool.map(partial(_write, folder / "wavs"), lines, chunksize=1)
    rows = [f"{s.id}|{s.text}|{s.normalised}|{s.voice.speaker}\n" for s in lines]
    (folder / "metadata.csv").write_bytes("".join(rows).encode())


def _write(folder: Path, sentence: Sentence) -> None:
    rate, samples = _speak(sentence.normalised, sentence.voice)
    if sys.byteorder == "big":
        samples.byteswap()
    with wave.open(str(folder / f"{sentence.id}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def _speak(text: str, voice: Voice) -> tuple[int, array[int]]:
    """Sample rate in Hz and 16-bit samples of a text; only once in a process."""
    import espeakng_loader

    engine = ctypes.CDLL(espeakng_loader.get_library_path())
    samples: array[int] = array("h")

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def collect(wav: int | None, count: int, _events: int | None) -> int:
        if wav and count > 0:
            samples.frombytes(ctypes.string_at(wav, 2 * count))
        return 0

    data = espeakng_loader.get_data_path().encode()
    rate = engine.espeak_Initialize(_SYNCHRONOUS, 0, data, 0)
    if rate <= 0:
        raise RuntimeError(f"espeak-ng does not start with the data of {data.decode()}")
    engine.espeak_SetSynthCallback(collect)
    if engine.espeak_SetVoiceByName(voice.name.encode()) != 0:
        raise RuntimeError(f"espeak-ng has no voice {voice.name}")
    for parameter, value in ((_RATE, voice.rate), (_VOLUME, _LOUDNESS), (_PITCH, voice.pitch)):
        engine.espeak_SetParameter(parameter, value, 0)
    engine.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))  # which starts from the clock
    spoken = text.encode() + b"\0"
    size = ctypes.c_size_t(len(spoken))
    if engine.espeak_Synth(spoken, size, 0, _BY_CHARACTER, 0, _UTF8, None, None) != 0:
        raise RuntimeError(f"espeak-ng cannot speak {text!r}")
    return rate, samples


if __name__ == "__main__":
    render(Path(sys.argv[1]), Path(sys.argv[2]), jobs=int(sys.argv[3]))
