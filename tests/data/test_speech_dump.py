"""What is spoken in a dump, as a model is told it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_dump import SPEC, clip

from wg.data.dump import Dump, write_shard
from wg.data.phonemes import Phonemes
from wg.data.segments import Draw, Segments, collate, whole
from wg.data.speech import SpokenDump, pitch_of, speakers_of
from wg.errors import InputError
from wg.models.wavegrad2 import WaveGrad2Config

ONE = WaveGrad2Config()
VOICES = WaveGrad2Config(speaker_channels=4, speakers=("anna", "bert"))
SPOKEN = {
    "a": Phonemes("a", "Oh", "anna", ("sil", "OW1", "eos"), (2, 16, 2)),
    "b": Phonemes("b", "I", "bert", ("sil", "AY1"), (1, 11)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clips of 20 and 12 frames."""
    clips = [clip("a", 20 * 64), clip("b", 12 * 64, seed=1)]
    named = [
        (replace(entry, speaker=speaker), audio, mel)
        for (entry, audio, mel), speaker in zip(clips, ("anna", "bert"), strict=True)
    ]
    write_shard(tmp_path / "shard-00000.safetensors", named, SPEC, "made up")
    return tmp_path


def test_a_batch_tells_symbols_durations_speakers_and_where_the_window_is(folder: Path) -> None:
    dump = SpokenDump(folder, SPOKEN, VOICES)
    segments = Segments(dump, 15)
    batch = collate([segments[Draw(0, 3)], segments[Draw(1, 3)]])
    ids = [VOICES.symbols.index(name) for name in ("sil", "OW1", "eos", "AY1")]
    told = {
        "symbols": [ids[:3], [ids[0], ids[3], 0]],
        "durations": [[2, 16, 2], [1, 11, 0]],
        "symbol_lengths": [3, 2],
        "speaker": [0, 1],
        "frames": [15, 12],
    }
    for name, expected in told.items():
        value = batch[name]
        assert isinstance(value, torch.Tensor) and value.tolist() == expected, name
    start, mel = batch["window_start"], batch["mel"]
    assert isinstance(start, torch.Tensor) and isinstance(mel, torch.Tensor)
    first = int(start[0])
    assert 0 <= first <= 5 and int(start[1]) == 0
    torch.testing.assert_close(mel[0], dump.mel(0)[:, first : first + 15])


def test_a_whole_utterance_is_a_window_from_its_start(folder: Path) -> None:
    batch = collate([whole(SpokenDump(folder, SPOKEN, ONE), 0)])
    assert batch["mel"].shape[2] == 20 and batch["window_start"].tolist() == [0]  # pyright: ignore
    assert "speaker" not in batch and "frames" not in batch


def test_a_model_of_pitches_is_told_those_of_whole_utterances(folder: Path) -> None:
    dump = SpokenDump(folder, SPOKEN, replace(ONE, mel_weight=1.0, mel_blocks=1, pitch_weight=1.0))
    batch = collate([Segments(dump, 8)[Draw(0, 1)], Segments(dump, 8)[Draw(1, 1)]])
    pitch, mel = batch["pitch"], batch["utterance_mel"]
    assert isinstance(pitch, torch.Tensor) and isinstance(mel, torch.Tensor)
    assert pitch.shape == mel.shape[:2] == (2, 20) and not pitch[1, 12:].any()


def test_pitches_stand_where_frames_do() -> None:
    # 200 Hz with harmonics from the middle on; frame f is centred on (f + 1/2) * hop.
    samples = torch.arange(SPEC.sample_rate)
    buzz = sum((torch.pi * 2 * 200 * n * samples / SPEC.sample_rate).cos() / n for n in range(1, 9))
    assert isinstance(buzz, torch.Tensor)
    half = SPEC.sample_rate // 2
    buzz = 0.1 * buzz * (samples >= half)
    pitch = pitch_of(buzz, SPEC)
    first = half // SPEC.hop_length
    assert pitch.shape == (SPEC.frames(len(buzz)),)
    assert not pitch[: first - 3].any()
    voiced = pitch[first + 4 : -4]
    torch.testing.assert_close(voiced, torch.full_like(voiced, 200.0), atol=2.0, rtol=0)


def test_other_models_are_told_nothing_more(folder: Path) -> None:
    batch = collate([Segments(Dump(folder), 8)[Draw(0, 1)]])
    assert set(batch) == {"ids", "texts", "seeds", "rows", "audio", "mel"}


def test_what_stage_3_left_out_is_left_out(folder: Path) -> None:
    dump = SpokenDump(folder, {"b": SPOKEN["b"]}, ONE)
    assert [entry.id for entry in dump.utterances] == ["b"]
    assert torch.equal(dump.mel(0), Dump(folder).mel(1))


def test_speakers_are_those_of_the_dump(folder: Path) -> None:
    assert speakers_of(Dump(folder)) == ("anna", "bert")


def test_an_utterance_without_a_speaker_is_named(folder: Path) -> None:
    entry, audio, mel = clip("nobodys", 640)
    nobodys = [(replace(entry, speaker=""), audio, mel)]
    write_shard(folder / "shard-00001.safetensors", nobodys, SPEC, "made up")
    with pytest.raises(InputError, match=r"nobodys: no speaker is known"):
        speakers_of(Dump(folder))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({}, "no utterance has phonemes; run stage 3"),
        ({**SPOKEN, "b": replace(SPOKEN["b"], durations=(1, 12))}, "b: durations sum to 13 frames"),
        ({**SPOKEN, "b": replace(SPOKEN["b"], symbols=("sil", "AY9"))}, "b: symbol 'AY9' is unk"),
    ],
)
def test_a_dump_and_phonemes_that_disagree_are_refused(
    folder: Path, wrong: dict[str, Phonemes], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        SpokenDump(folder, wrong, ONE)


def test_a_speaker_that_training_did_not_have_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"b: speaker 'bert' is unknown"):
        SpokenDump(folder, SPOKEN, replace(VOICES, speakers=("anna", "carl")))
