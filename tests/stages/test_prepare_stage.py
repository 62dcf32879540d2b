"""Corpora with something wrong, through the command line: one line, and nothing half written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_recipe import DUMP, RATE, TinyRecipe, tone, wg

from wg.data.dump import Dump

PREPARE = ("--stop-stage", "prepare")
FEATURES = ("--stop-stage", "features")


def write(path: Path, audio: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> None:
    soundfile.write(path, audio, rate, subtype=subtype)


def spoil_with_nan(path: Path) -> None:
    audio = tone(5)
    audio[123] = np.nan
    write(path, audio, subtype="FLOAT")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "an empty file"),
    "no samples": (lambda path: write(path, np.zeros(0)), "holds no samples"),
    "truncated": (
        lambda path: path.write_bytes(path.read_bytes()[:3000]),
        "truncated: 2956 of 12100 bytes",
    ),
    "not audio": (lambda path: path.write_text("words, not samples\n"), "not audio in a known"),
    "stereo": (lambda path: write(path, np.stack([tone(5)] * 2, 1)), "2 channels, one is needed"),
    "8-bit": (lambda path: write(path, tone(5), subtype="PCM_U8"), "8-bit audio"),
    "rate": (lambda path: write(path, tone(5), 11025), "11025 Hz where corpus.sample_rate is 8000"),
    "silence": (lambda path: write(path, np.zeros(4000)), "digital silence"),
    "nan": (spoil_with_nan, "not a number at sample 123"),
    "loud": (lambda path: write(path, 9 * tone(5), subtype="FLOAT"), "beyond full scale"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clip_is_named_and_can_be_left_out(recipe: TinyRecipe, name: str) -> None:
    spoil, words = BAD[name]
    clip = recipe.corpus / "wavs" / "tone-05.wav"
    spoil(clip)
    line = recipe.run().complaint()
    assert f"{clip}: " in line and words in line
    assert "(--skip-bad leaves such clips out)" in line
    assert not recipe.work.exists() or not list(recipe.work.rglob("*"))

    outcome = recipe.run("--skip-bad", *PREPARE)
    assert outcome.code == 0
    assert "train: 5 utterances" in outcome.out
    assert f"left out 1 bad clips (--skip-bad):\n  {clip}: " in outcome.out
    assert words in (recipe.work / "data" / "left-out.txt").read_text()
    stamp = json.loads((recipe.work / "data" / "stage-prepare.json").read_text())
    assert stamp["result"]["left_out"] == 1


def test_every_clip_bad_is_an_error_even_if_bad_ones_may_be_left_out(recipe: TinyRecipe) -> None:
    for clip in (recipe.corpus / "wavs").iterdir():
        clip.write_bytes(b"")
    line = recipe.run("--skip-bad").complaint()
    assert "6 of 6 audio files cannot be used (no clip would be left)" in line
    assert not (recipe.work / "data").exists()


def test_a_folder_without_a_corpus_is_named(recipe: TinyRecipe) -> None:
    recipe.corpus.rename(recipe.root / "elsewhere")
    assert f"--corpus-dir {recipe.corpus}: no such folder" in recipe.run().complaint()
    recipe.corpus.mkdir()
    assert f"{recipe.corpus}: an empty folder; check --corpus-dir" in recipe.run().complaint()
    (recipe.corpus / "metadata.csv").write_text("tone-01|One.\n")
    assert f"{recipe.corpus / 'wavs'}: no such folder" in recipe.run().complaint()
    (recipe.corpus / "wavs").mkdir()
    assert "wavs: no WAV or FLAC file; put them there" in recipe.run().complaint()
    assert not recipe.work.exists()


def test_a_corpus_that_can_only_be_fetched_by_hand_says_so(recipe: TinyRecipe) -> None:
    line = wg("recipe", str(recipe.folder), "--work-dir", str(recipe.work)).complaint()
    assert "pass --corpus-dir" in line
    assert not recipe.work.exists()


def test_a_partial_corpus_is_used_with_one_notice(recipe: TinyRecipe) -> None:
    (recipe.corpus / "wavs" / "tone-02.wav").unlink()
    lines = (recipe.corpus / "metadata.csv").read_text().splitlines(keepends=True)
    (recipe.corpus / "metadata.csv").write_text("".join(lines[:2] + lines[3:]))
    outcome = recipe.run(*PREPARE)
    assert outcome.code == 0 and "train: 4 utterances" in outcome.out


def test_a_metadata_line_or_a_file_alone_is_counted_in_the_notice(
    recipe: TinyRecipe, caplog: pytest.LogCaptureFixture
) -> None:
    (recipe.corpus / "wavs" / "tone-02.wav").unlink()
    write(recipe.corpus / "wavs" / "extra.wav", tone(5))
    assert recipe.run(*PREPARE).code == 0
    (notice,) = [record.getMessage() for record in caplog.records]
    assert "metadata lines without audio: 1 (tone-02)" in notice
    assert "audio without metadata line: 1 (extra)" in notice


def test_an_id_that_comes_twice_is_refused_with_both_lines(recipe: TinyRecipe) -> None:
    with open(recipe.corpus / "metadata.csv", "a") as file:
        file.write("tone-03|Again.\n")
    line = recipe.run().complaint()
    assert "metadata.csv: id tone-03 is on line 3 and on line 12; remove one" in line
    assert not recipe.work.exists()


def test_a_failed_prepare_leaves_the_one_before_in_place(recipe: TinyRecipe) -> None:
    assert recipe.run(*PREPARE).code == 0
    before = {path: path.read_bytes() for path in (recipe.work / "data").glob("*.jsonl.gz")}
    (recipe.corpus / "wavs" / "tone-05.wav").write_bytes(b"")
    recipe.run(*PREPARE, "corpus.language=fr").complaint()
    found = {path: path.read_bytes() for path in (recipe.work / "data").glob("*.jsonl.gz")}
    assert found == before and len(before) == 3
    # Without its stamp it is not taken for finished.
    assert recipe.run("--dry-run").decisions()["prepare"] == "runs: not done yet"


def test_a_dry_run_counts_the_splits_and_finds_wrong_ones(recipe: TinyRecipe) -> None:
    outcome = recipe.run("--dry-run")
    assert outcome.code == 0
    assert re.search(r"utterances: train \d+, valid \d+, test \d+\n", outcome.out)
    line = recipe.run("--dry-run", "corpus.test=[nobody-1..nobody-9]").complaint()
    assert "corpus.test: no utterance lies in nobody-1..nobody-9; the corpus has" in line
    assert not recipe.work.exists()


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT"])
def test_finer_samples_than_16_bit_reach_the_features_unchanged(
    recipe: TinyRecipe, subtype: str
) -> None:
    clip = recipe.corpus / "wavs" / "tone-05.wav"
    write(clip, tone(5), subtype=subtype)
    assert recipe.run(*FEATURES).code == 0
    dump = Dump(recipe.dump / "train")
    index = [entry.id for entry in dump.utterances].index("tone-05")
    whole_frames = 64 * dump.utterances[index].frames
    expected = torch.from_numpy(soundfile.read(clip, dtype="float32")[0])[:whole_frames]
    assert len(expected) > 5900 and torch.equal(dump.recording(index), expected)


def test_another_rate_is_resampled_only_when_the_config_allows_it(recipe: TinyRecipe) -> None:
    time = np.arange(11025) / 11025
    clip = recipe.corpus / "wavs" / "tone-05.wav"
    write(clip, 0.5 * np.sin(2 * np.pi * 440 * time), 11025)
    assert "11025 Hz where corpus.sample_rate is 8000" in recipe.run(*FEATURES).complaint()
    outcome = recipe.run("corpus.sample_rate=null", *FEATURES)
    assert outcome.code == 0 and "resampling 1 of 11 clips from 11025 to 8000 Hz\n" in outcome.out
    dump = Dump(recipe.dump / "train")
    index = [entry.id for entry in dump.utterances].index("tone-05")
    audio = dump.recording(index).numpy()
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    assert len(audio) == 8000
    assert np.abs(audio - expected)[200:-200].max() < 1e-3


def test_a_clip_that_fits_no_window_is_named(recipe: TinyRecipe) -> None:
    clip = recipe.corpus / "wavs" / "tone-05.wav"
    write(clip, tone(5)[2000:2090])
    line = recipe.run(*FEATURES).complaint()
    assert f"{clip}: waveform of 90 samples; mel.n_fft 256 needs at least 97" in line
    assert not list(recipe.dump.rglob("*.safetensors"))


def test_a_clip_that_changed_since_it_was_checked_is_named(recipe: TinyRecipe) -> None:
    assert recipe.run(*PREPARE).code == 0
    clip = recipe.corpus / "wavs" / "tone-05.wav"
    write(clip, tone(5)[:2000])
    line = recipe.run("--stage", "features", *FEATURES).complaint()
    assert f"{clip}: ends at sample 2000" in line and "run the prepare stage again" in line
    clip.unlink()
    assert (
        f"{clip}: not readable as audio" in recipe.run("--stage", "features", *FEATURES).complaint()
    )


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("place", ["data/corpus", "data", "exp/tiny-wavegrad/corpus", "link"])
def test_a_corpus_where_a_stage_would_write_is_refused(recipe: TinyRecipe, place: str) -> None:
    target = recipe.work / ("data/x" if place == "link" else place)
    target.parent.mkdir(parents=True, exist_ok=True)
    recipe.corpus.rename(target)
    corpus = target
    if place == "link":
        corpus = recipe.root / "link"
        corpus.symlink_to(target)
    before = everything(recipe.root)
    line = wg(*recipe.arguments(), "--corpus-dir", str(corpus)).complaint()
    assert str(corpus) in line and str(recipe.work) in line
    assert everything(recipe.root) == before


@pytest.mark.parametrize("name", ["data/notes.txt", f"dump/{DUMP}/a.safetensors"])
def test_files_of_the_users_where_a_stage_would_write_are_refused(
    recipe: TinyRecipe, name: str
) -> None:
    (recipe.work / name).parent.mkdir(parents=True)
    (recipe.work / name).write_text("the user's")
    line = recipe.run().complaint()
    assert Path(name).name in line
    assert (recipe.work / name).read_text() == "the user's"
    assert [path.name for path in recipe.work.rglob("*") if path.is_file()] == [Path(name).name]


def test_a_finished_run_of_a_version_without_stamps_goes_on(done: TinyRecipe) -> None:
    for stamp in done.work.rglob(".wg.json"):
        stamp.unlink()
    assert set(done.run("--dry-run").decisions().values()) == {"skipped: up to date"}
    outcome = done.run("corpus.language=fr", "train.max_steps=4")
    assert outcome.code == 0, outcome
    assert (done.work / "data" / ".wg.json").is_file()


def test_tensors_of_the_users_beside_the_shards_stay(done: TinyRecipe) -> None:
    mine = done.dump / "train" / "model.safetensors"
    mine.write_text("the user's")
    assert done.run("features.shard=3", "--stop-stage", "features").code == 0
    assert mine.read_text() == "the user's"


def test_a_work_folder_that_is_a_file_is_named(recipe: TinyRecipe) -> None:
    recipe.work.write_text("")
    assert f"--work-dir {recipe.work}: " in recipe.run().complaint()


def test_a_changed_corpus_is_noticed_and_a_touched_one_costs_a_check(recipe: TinyRecipe) -> None:
    assert recipe.run(*FEATURES).code == 0
    assert set(recipe.run(*FEATURES).decisions().values()) == {"skipped: up to date"}
    clip = recipe.corpus / "wavs" / "tone-05.wav"
    os.utime(clip, (1, 1))
    decisions = recipe.run(*FEATURES).decisions()
    assert decisions["prepare"].startswith("runs: changed corpus files")
    assert decisions["features"] == "skipped: up to date"
    before = {path: path.read_bytes() for path in recipe.dump.rglob("*.safetensors")}
    write(clip, -tone(5))  # as long as before
    decisions = recipe.run(*FEATURES).decisions()
    assert decisions["features"].startswith("runs")
    assert {path: path.read_bytes() for path in before} != before
    with open(recipe.corpus / "metadata.csv", "a") as file:
        file.write("tone-12|New.\n")
    write(recipe.corpus / "wavs" / "tone-12.wav", tone(12))
    without = ["recipe", str(recipe.folder), "--work-dir", str(recipe.work), "--jobs", "1"]
    outcome = wg(*without, *FEATURES)  # the corpus's folder is remembered
    assert outcome.code == 0 and "train: 7 utterances" in outcome.out, outcome


def test_a_stamp_without_the_corpus_files_stands_and_says_so(recipe: TinyRecipe) -> None:
    assert recipe.run(*PREPARE).code == 0
    path = recipe.work / "data" / "stage-prepare.json"
    stamp = json.loads(path.read_text())
    del stamp["settings"]["corpus files"]
    path.write_text(json.dumps(stamp))
    said = recipe.run(*PREPARE).decisions()["prepare"]
    assert said == "skipped: up to date; whether the corpus's files changed was not noted then"


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "x" * 300])
@pytest.mark.parametrize("key", ["corpus.name", "features.name"])
def test_no_name_leads_out_of_the_work_folder(recipe: TinyRecipe, key: str, name: str) -> None:
    assert f"{key} is " in recipe.run(f"{key}={name}").complaint()


def test_loggers_are_asked_for_their_key_before_stage_1(
    recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(recipe.root))
    line = recipe.run("train.loggers=[wandb]").complaint()
    assert "wandb has no key" in line or "wandb is not installed" in line
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    line = recipe.run("train.loggers=[tensorboard]").complaint()
    assert "tensorboard is not installed; pip install tensorboard" in line
    assert not recipe.work.exists()


@pytest.mark.parametrize("way", ["deleted", "truncated", "altered"])
def test_stage_2_makes_a_damaged_shard_again_and_no_other(done: TinyRecipe, way: str) -> None:
    assert done.run("features.shard=2", "--stop-stage", "features").code == 0
    shards = sorted(done.dump.glob("*/shard-*.safetensors"))
    before = {path: path.stat().st_mtime_ns for path in shards}
    hit = done.dump / "train" / "shard-00001.safetensors"
    content = bytearray(hit.read_bytes())
    if way == "deleted":
        hit.unlink()
    else:
        content[-1] ^= 1
        hit.write_bytes(content[:-50] if way == "truncated" else content)
    outcome = done.run("features.shard=2", "--stop-stage", "features")
    assert outcome.code == 0
    assert "train/shard-00001.safetensors is" in outcome.decisions()["features"]
    assert f"{len(shards) - 1} of {len(shards)} shards are there already" in outcome.out
    assert [path for path in shards if path.stat().st_mtime_ns != before[path]] == [hit]
    again = done.run("features.shard=2", "--stop-stage", "features").decisions()
    assert again["features"] == "skipped: up to date"


def test_two_mel_specs_of_one_label_have_dumps_of_their_own(recipe: TinyRecipe) -> None:
    stop = ("--stop-stage", "features")
    assert recipe.run(*stop).code == 0
    other = recipe.run(*stop, "mel.fmax=3000")
    assert other.code == 0 and other.decisions()["features"] == "runs: not done yet"
    assert len(list((recipe.work / "dump").iterdir())) == 2
    assert recipe.run(*stop).decisions()["features"] == "skipped: up to date"


def test_features_from_before_folders_had_a_digest_stay_in_use(done: TinyRecipe) -> None:
    done.dump.rename(done.dump.with_name("8000hz-10mel-hop64"))
    assert done.run("--dry-run").decisions()["features"] == "skipped: up to date"
    other = done.run("--dry-run", "mel.fmax=3000").decisions()
    assert other["features"] == "runs: not done yet"


@pytest.mark.parametrize("way", ["cut", "flipped", "empty", "text"])
def test_a_damaged_manifest_is_one_line(done: TinyRecipe, way: str) -> None:
    manifest = done.work / "data" / "train.jsonl.gz"
    content = bytearray(manifest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged = {"cut": content[:-30], "flipped": content, "empty": b"", "text": b"not a manifest"}
    manifest.write_bytes(damaged[way])
    line = done.run("--stage", "features", "features.shard=1").complaint()
    assert str(manifest) in line and "run stage 1 (prepare) again" in line


def mels_of(recipe: TinyRecipe, folder: Path) -> dict[str, torch.Tensor]:
    """Mels as an acoustic model would make them: those of the recordings, a little off."""
    folder.mkdir()
    made = {}
    for split in ("train", "valid", "test"):
        dump = Dump(recipe.dump / split)
        for index, entry in enumerate(dump.utterances):
            made[entry.id] = dump.mel(index) + 0.1
            np.save(folder / f"{entry.id}.npy", made[entry.id].numpy())
    return made


def test_mels_of_an_acoustic_model_take_the_place_of_the_audios(done: TinyRecipe) -> None:
    folder = done.root / "fastspeech"
    mels = mels_of(done, folder)
    np.save(folder / "tone-05.npy", mels["tone-05"][:, :-1].numpy())  # a frame fewer
    given = (f"features.from={folder}", "--stop-stage", "features")
    assert done.run(*given).code == 0
    dump = Dump(done.dump.with_name(f"{done.dump.name}-from-fastspeech") / "train")
    own = Dump(done.dump / "train")
    for index, entry in enumerate(dump.utterances):
        wanted = mels[entry.id][:, : entry.frames]
        assert torch.equal(dump.mel(index), wanted)
        assert torch.equal(dump.audio(index), own.audio(index)[: 64 * entry.frames])
    assert dump.utterances[dump.index_of("tone-05")].frames == mels["tone-05"].shape[1] - 1
    assert done.run(*given).decisions()["features"] == "skipped: up to date"
    assert done.run("--dry-run").decisions()["features"] == "skipped: up to date"
    np.save(folder / "tone-06.npy", mels["tone-06"].numpy() + 1)
    assert "1 shards" in done.run(*given).out


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("missing", "lacks the mels of 1 of"),
        ("short", "frames, its audio has"),
        ("turned", "it is transposed"),
        ("nan", "holds NaN"),
        ("text", "not a plain .npy array"),
        ("integers", "not floats"),
    ],
)
def test_mels_that_do_not_fit_are_named(done: TinyRecipe, way: str, message: str) -> None:
    folder = done.root / "mels"
    mel = mels_of(done, folder)["tone-03"].numpy()
    path = folder / "tone-03.npy"
    made = {"short": mel[:, :-9], "turned": mel.T, "nan": mel * np.nan, "integers": mel.astype(int)}
    if way in made:
        np.save(path, made[way])
    elif way == "text":
        path.write_text("words")
    else:
        path.unlink()
    line = done.run(f"features.from={folder}", "--stop-stage", "features").complaint()
    assert message in line and "tone-03" in line
