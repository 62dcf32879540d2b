"""Audio files: each kind of unusable file is named, each usable one is exact."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, SupervisionSegment

from wg.data.audio import (
    check_audio,
    find_problem,
    load_audio,
    rate_of,
    read_mono,
    recordings_of,
    summary,
)
from wg.errors import InputError

RATE = 16000
WAVE = (0.4 * np.sin(np.arange(8000) * 0.1)).astype(np.float32)


def write(path: Path, wave=WAVE, subtype="PCM_16", rate=RATE) -> Path:
    soundfile.write(path, wave, rate, subtype=subtype)
    return path


def cuts_of(paths: list[Path]) -> CutSet:
    return CutSet.from_cuts(recording.to_cut() for recording in recordings_of(paths))


def cut_in_half(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def with_data_size(path: Path, size: int) -> Path:
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


def spoilt(value: float) -> np.ndarray:
    wave = WAVE.copy()
    wave[100] = value
    return wave


BAD = {
    "missing": (lambda p: p, "missing; restore it"),
    "empty": (lambda p: p.write_bytes(b""), "an empty file"),
    "text": (lambda p: p.write_text("not audio " * 50), "not audio in a known format"),
    "zero_length": (lambda p: write(p, WAVE[:0]), "holds no samples"),
    "truncated": (lambda p: cut_in_half(write(p)), "truncated: 7978 of 16000 bytes"),
    "stereo": (lambda p: write(p, np.stack([WAVE, WAVE], 1)), "2 channels.*remix -"),
    "8bit": (lambda p: write(p, subtype="PCM_U8"), "8-bit audio.*16-bit source"),
    "rate": (lambda p: write(p, rate=44100), r"44100 Hz.*corpus\.sample_rate is 16000"),
    "nan": (lambda p: write(p, spoilt(np.nan), "FLOAT"), "not a number at sample 100"),
    "infinite": (lambda p: write(p, spoilt(-np.inf), "FLOAT"), "not a number at sample 100"),
    "loud": (lambda p: write(p, spoilt(-1.5), "FLOAT"), r"peak 1\.500.*sox -v 0\.660"),
    "silent": (lambda p: write(p, 0 * WAVE), "digital silence"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_unusable_wav_is_refused_with_its_name_and_a_remedy(tmp_path, kind):
    make, words = BAD[kind]
    path = tmp_path / f"{kind}.wav"
    make(path)
    with pytest.raises(InputError, match=rf"{kind}\.wav: .*{words}") as caught:
        check_audio(cuts_of([path]), 1, RATE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0.03, 0.5, 0.98])
def test_a_truncated_flac_is_refused(tmp_path, keep):
    path = write(tmp_path / "a.flac", 0.5 * np.random.default_rng(0).random(8000, np.float32))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    assert "truncated or damaged" in (find_problem(str(path), None) or "")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_the_usual_sample_formats_are_read_exactly(tmp_path, subtype):
    step = 2.0**-15 if subtype == "PCM_16" else 2.0**-23
    wave = (np.round(WAVE / step) * step).astype(np.float32)
    wave[:2] = -1.0, 1.0 - step
    path = write(tmp_path / "a.wav", wave, subtype)
    good, problems = check_audio(cuts_of([path]), 1, RATE)
    assert len(good) == 1 and problems == []
    assert np.array_equal(load_audio(path), wave)


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_of_unstated_length_from_a_pipe_is_whole(tmp_path, size):
    assert find_problem(str(with_data_size(write(tmp_path / "a.wav"), size)), RATE) is None


def test_any_rate_will_do_when_none_is_asked_for(tmp_path):
    paths = [write(tmp_path / f"{rate}.wav", rate=rate) for rate in (8000, 48000)]
    assert len(check_audio(cuts_of(paths), 1, None)[0]) == 2


def some_bad(folder: Path) -> list[Path]:
    paths = [write(folder / f"good{n}.wav") for n in range(4)]
    paths += [write(folder / f"silent{n}.wav", 0 * WAVE) for n in range(7)]
    return sorted(paths, key=lambda path: path.stem[-1])


def test_many_problems_are_one_line_with_five_of_them_and_a_count(tmp_path):
    with pytest.raises(InputError) as caught:
        check_audio(cuts_of(some_bad(tmp_path)), 2, RATE)
    message = str(caught.value)
    assert message.startswith("7 of 11 audio files cannot be used (--skip-bad")
    assert message.count("digital silence") == 5 and message.endswith("and 2 more")
    assert "\n" not in message


def test_skip_bad_leaves_the_bad_ones_out_and_counts_them(tmp_path):
    good, problems = check_audio(cuts_of(some_bad(tmp_path)), 3, RATE, skip_bad=True)
    assert [cut.id for cut in list(good)] == ["good0", "good1", "good2", "good3"]
    assert len(problems) == 7
    assert "silent0.wav: digital silence" in problems[0]


def test_skip_bad_does_not_leave_an_empty_corpus(tmp_path):
    with pytest.raises(InputError, match="no clip would be left"):
        check_audio(cuts_of([write(tmp_path / "a.wav", 0 * WAVE)]), 1, RATE, skip_bad=True)


def test_a_part_of_a_file_is_the_same_samples(tmp_path):
    path = write(tmp_path / "a.flac")
    assert np.array_equal(load_audio(path, 1000, 500), load_audio(path)[1000:1500])


def test_loading_beyond_the_end_is_an_error_not_a_short_array(tmp_path):
    path = write(tmp_path / "a.wav")
    with pytest.raises(InputError, match=r"ends at sample 8000, 8100 are needed"):
        load_audio(path, 7900, 200)
    with pytest.raises(InputError, match="9050 are needed"):
        load_audio(path, 9000, 50)


def test_loading_stereo_or_text_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(InputError, match=r"two\.wav: 2 channels"):
        load_audio(write(tmp_path / "two.wav", np.stack([WAVE, WAVE], 1)))
    (tmp_path / "text.wav").write_text("hello" * 20)
    with pytest.raises(InputError, match=r"text\.wav: not readable"):
        load_audio(tmp_path / "text.wav")


@pytest.mark.parametrize("read", [load_audio, read_mono, rate_of])
def test_whoever_reads_a_file_that_is_no_audio_names_it(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "torn.wav"
    path.write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"torn\.wav: not readable as audio \(.*\); replace it"):
        read(path)


def test_a_mono_file_is_read_in_double_precision_if_asked(tmp_path: Path) -> None:
    path, audio = tmp_path / "double.wav", np.array([0.1, -0.7, 1 / 3])
    soundfile.write(path, audio, 8000, subtype="DOUBLE")
    assert np.array_equal(read_mono(path, "float64")[0], audio)
    assert np.array_equal(read_mono(path)[0], audio.astype(np.float32))
    assert rate_of(path) == 8000


def test_the_summary_counts_hours_speakers_and_missing_text(tmp_path):
    cuts = list(cuts_of([write(tmp_path / f"{n}.wav") for n in range(3)]))
    for cut, speaker, text in zip(cuts, "xyx", ("one", None, "two"), strict=True):
        cut.supervisions = [SupervisionSegment(cut.id, cut.id, 0, 0.5, text=text, speaker=speaker)]
    found = summary(CutSet.from_cuts(cuts))
    assert (found.utterances, found.speakers, found.untranscribed) == (3, 2, 1)
    assert found.hours == pytest.approx(3 * 0.5 / 3600)
    assert str(found) == "3 utterances, 0.000417 h, 2 speakers, 1 without text"
