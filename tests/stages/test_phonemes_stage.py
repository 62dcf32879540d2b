"""Stage phonemes: durations by the aligner or from TextGrids, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_recipe import DUMP, TinyRecipe

import wg.alignment.aligner
from wg.alignment.aligner import Aligner, align, train_aligner
from wg.alignment.batches import AlignerUtterances
from wg.alignment.network import AlignerConfig
from wg.data.dump import Dump, write_shard
from wg.data.index import Utterance
from wg.data.phonemes import read_phonemes
from wg.errors import InputError
from wg.mel.spec import MelSpec
from wg.models import REGISTRY
from wg.processes.devices import Devices
from wg.processes.pool import in_processes
from wg.stages.phonemes import TextJob, pronounce_texts
from wg.text.symbols import BOUNDARIES

QUICK = ("--stop-stage", "3", "aligner.steps=4", "aligner.batch_size=2")
SPEC = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, framing="hop", n_mels=10)
SOUNDS = ("AA1", "S", "M", "IY1", "T")


@pytest.fixture
def reading(recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch) -> TinyRecipe:
    """The tiny recipe, whose model reads text."""
    monkeypatch.setitem(REGISTRY, "wavegrad", replace(REGISTRY["wavegrad"], conditions="text"))
    return recipe


def folder(recipe: TinyRecipe) -> Path:
    return recipe.work / "data" / "phonemes" / f"wavegrad-{DUMP}"


def set_texts(recipe: TinyRecipe, **texts: str) -> None:
    path = recipe.corpus / "metadata.csv"
    lines = [line.split("|") for line in path.read_text().splitlines()]
    named = {name.replace("_", "-"): text for name, text in texts.items()}
    changed = [f"{name}|{named[name] if name in named else text}\n" for name, text in lines]
    path.write_text("".join(changed))


def test_words_of_another_language_are_never_spoken_as_english_ones() -> None:
    lexicon = {"ton": ("T", "OW1", "N"), "der": ("D", "EH1", "R")}
    spoken = (Utterance("a", 1, 1, "Der Ton."), Utterance("b", 1, 1, "Der gute Ton, {G UW1 T}!"))
    first, second = pronounce_texts(TextJob(spoken, lexicon, closed=True))
    assert isinstance(first, list) and isinstance(second, str)
    assert [word.phonemes for word in first] == [lexicon["der"], lexicon["ton"]]
    assert second.startswith("b: gute: not in phonemes.lexicon, and corpus.language is not English")


def test_each_utterance_gets_durations_that_sum_to_its_frames(reading: TinyRecipe) -> None:
    outcome = reading.run(*QUICK)
    assert outcome.code == 0, outcome
    for split, count in (("train", 6), ("valid", 2), ("test", 3)):
        dump = Dump(reading.dump / split)
        found = read_phonemes(folder(reading), split)
        assert list(found) == [entry.id for entry in dump.utterances] and len(found) == count
        for entry in dump.utterances:
            one = found[entry.id]
            assert (one.text, one.speaker) == (entry.text, entry.speaker)
            assert sum(one.durations) == entry.frames
            assert one.symbols[0] == "sil" and one.symbols[-2:] == (".", "eos")
            pairs = zip(one.symbols, one.durations, strict=True)
            assert all(frames > 0 for name, frames in pairs if name not in BOUNDARIES)
    pictures = {path.name for path in (folder(reading) / "pictures").iterdir()}
    assert pictures == {f"tone-{n:02d}.png" for n in (7, 8, 9, 10, 11)}
    assert f"pictures of alignments: {folder(reading) / 'pictures'}" in outcome.out
    assert re.search(r"11 texts to phonemes in [\d.]+ s, \d+ a second", outcome.out)
    again = reading.run(*QUICK)
    assert again.decisions()["phonemes"] == "skipped: up to date"


def test_words_that_no_dictionary_has_are_reported(reading: TinyRecipe) -> None:
    set_texts(reading, tone_01="Flurbish zlick flurbish.", tone_09="A flurbish.")
    outcome = reading.run(*QUICK)
    assert outcome.code == 0, outcome
    rows = [line.split("\t") for line in (folder(reading) / "oov.tsv").read_text().splitlines()]
    assert rows[0] == ["word", "count", "predicted"]
    assert [row[:2] for row in rows[1:]] == [["flurbish", "3"], ["zlick", "1"]]
    assert "2 words" in outcome.out and "oov.tsv" in outcome.out


def test_a_lexicon_overrides_and_its_change_redoes_the_stage(reading: TinyRecipe) -> None:
    lexicon = reading.folder / "lexicon.txt"
    lexicon.write_text("tone D OW1\n")
    settings = (*QUICK, "phonemes.lexicon=lexicon.txt")
    assert reading.run(*settings).code == 0
    one = read_phonemes(folder(reading), "test")["tone-09"]
    assert one.symbols[1:4] == ("D", "OW1", "wb")
    lexicon.write_text("tone D OW2\n")
    assert "changed lexicon.txt: " in reading.run(*settings).decisions()["phonemes"]
    assert read_phonemes(folder(reading), "test")["tone-09"].symbols[2] == "OW2"
    lexicon.write_text("tone\n")
    line = reading.run(*settings).complaint()
    assert "line 1: 'tone' is not `word PHONEME" in line


def test_bad_utterances_are_named_or_left_out(reading: TinyRecipe) -> None:
    set_texts(reading, tone_02="!!!", tone_03="so many words " * 30, tone_10="Привет")
    line = reading.run(*QUICK).complaint()
    assert (
        "tone-02: text '!!!' has no word" in line and "tone-10: " in line and "--skip-bad" in line
    )
    assert not (folder(reading) / "train.jsonl").exists()
    shutil.rmtree(reading.work)
    set_texts(reading, tone_02="Fine.", tone_10="Fine.")
    line = reading.run(*QUICK).complaint()
    assert "tone-03: " in line and "phonemes do not fit in" in line
    outcome = reading.run(*QUICK, "--skip-bad")
    assert outcome.code == 0, outcome
    assert "left out 1 utterances" in outcome.out
    assert "tone-03" not in read_phonemes(folder(reading), "train")


def test_an_alignment_that_nobody_can_speak_is_named(reading: TinyRecipe) -> None:
    set_texts(reading, tone_03="so many words " * 7)
    outcome = reading.run(*QUICK)
    assert outcome.code == 0, outcome
    (line,) = [line for line in outcome.out.splitlines() if "text and audio belong" in line]
    assert "in 1 utterances" in line and line.endswith(": tone-03")


def write_textgrid(path: Path, seconds: float) -> None:
    rows = [("words", "tone", 0.0), ("phones", "T", 0.0)]
    tiers = "".join(
        f'item [{n}]:\nclass = "IntervalTier"\nname = "{tier}"\nxmin = 0\nxmax = {seconds}\n'
        f"intervals: size = 2\nintervals [1]:\nxmin = 0\nxmax = 0.4\n"
        f'text = "{label}"\nintervals [2]:\nxmin = 0.4\nxmax = {seconds}\ntext = ""\n'
        for n, (tier, label, _) in enumerate(rows, 1)
    )
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {seconds}\n'
    path.write_text(f"{head}tiers? <exists>\nsize = 2\nitem []:\n{tiers}")


def test_textgrids_take_the_place_of_the_aligner(reading: TinyRecipe, tmp_path: Path) -> None:
    assert reading.run("--stop-stage", "2").code == 0
    grids = tmp_path / "grids" / "speaker"
    grids.mkdir(parents=True)
    seconds = {
        entry.id: entry.samples / 8000
        for split in ("train", "valid", "test")
        for entry in Dump(reading.dump / split).utterances
    }
    for name, length in seconds.items():
        write_textgrid(grids / f"{name}.TextGrid", length)
    arguments = ("--stop-stage", "3", "--textgrids", str(grids.parent))
    assert reading.run(*arguments).code == 0
    one = read_phonemes(folder(reading), "test")["tone-09"]
    assert one.symbols[:2] == ("sil", "T") and one.durations[1] == 50
    assert not (folder(reading) / "aligner").exists()

    write_textgrid(grids / "tone-04.TextGrid", 2.5)
    (grids / "tone-05.TextGrid").unlink()
    line = reading.run(*arguments, "aligner.steps=3").complaint()
    assert "tone-04: " in line and "of another recording" in line
    assert "tone-05: no tone-05.TextGrid" in line
    shutil.copytree(grids, grids.parent / "again")
    line = reading.run(*arguments, "aligner.steps=3").complaint()
    assert "phonemes.textgrids: " in line and "tone-01.TextGrid; remove one" in line
    empty = ("--stop-stage", "3", "--textgrids", str(tmp_path / "none"))
    assert "no .TextGrid files there" in reading.run(*empty).complaint()


def test_any_number_of_processes_pronounces_alike() -> None:
    utterances = tuple(
        Utterance(f"u{n}", 0, 0, text)
        for n, text in enumerate(["They refuse 5 flurbish refuse.", "I read it.", "?!"] * 2)
    )
    jobs = [TextJob(utterances[:3], {}), TextJob(utterances[3:], {})]
    assert in_processes(pronounce_texts, jobs, 1) == in_processes(pronounce_texts, jobs, 2)


def synthetic(path: Path, count: int) -> tuple[Dump, dict[int, list[str]], list[list[int]]]:
    """A dump in which each sound is a mel of its own in some noise, and the true durations."""
    generator = np.random.default_rng(0)
    patterns = generator.standard_normal((len(SOUNDS), SPEC.n_mels)) * 2
    quiet = np.full(SPEC.n_mels, -4.0)
    shard, symbols, truth = [], {}, []
    for number in range(count):
        # No two alike beside each other: nothing would show where one ends.
        sounds = np.cumsum(generator.integers(1, len(SOUNDS), 8)) % len(SOUNDS)
        lengths = [int(generator.integers(3, 8)), *generator.integers(3, 14, 8).tolist()]
        lengths.append(int(generator.integers(3, 8)))
        frames = np.repeat(np.stack([quiet, *patterns[sounds], quiet]), lengths, axis=0)
        frames += 0.5 * generator.standard_normal(frames.shape)
        mel = torch.from_numpy(frames.T).float()
        entry = Utterance(f"u{number}", mel.shape[1] * SPEC.hop_length, mel.shape[1])
        shard.append((entry, torch.zeros(entry.samples), mel))
        symbols[number] = ["sil", *(SOUNDS[sound] for sound in sounds), "eos"]
        truth.append(lengths)
    write_shard(path / "shard-00000.safetensors", shard, SPEC, "")
    return Dump(path), symbols, truth


def errors(
    aligner: Aligner, dump: Dump, symbols: dict[int, list[str]], truth: list[list[int]]
) -> list[int]:
    """Distances in frames of all ends from the true ones."""
    found = []
    for index, names in symbols.items():
        durations, soft = align(aligner, dump.mel(index), names)
        np.testing.assert_allclose(soft.sum(1), 1, atol=1e-4)
        found += np.abs(np.cumsum(durations) - np.cumsum(truth[index])).tolist()
    return found


def test_the_aligner_finds_true_durations(tmp_path: Path) -> None:
    dump, symbols, truth = synthetic(tmp_path / "dump", 40)
    torch.manual_seed(0)
    config = AlignerConfig(steps=120, batch_size=6, channels=16)
    aligner = Aligner(config, AlignerUtterances(dump, symbols))
    assert np.mean(errors(aligner, dump, symbols, truth)) > 2  # by the prior alone
    train_aligner(aligner, tmp_path / "aligner", Devices())
    assert np.mean(errors(aligner, dump, symbols, truth)) < 1


class Killed(Exception):
    pass


def test_a_killed_aligner_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wg.alignment.aligner, "_KEEP_EVERY", 2)
    dump, symbols, _ = synthetic(tmp_path / "dump", 5)
    config = AlignerConfig(steps=6, batch_size=2, channels=4)

    def trained(folder: Path) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        aligner = Aligner(config, AlignerUtterances(dump, symbols))
        train_aligner(aligner, folder, Devices())
        return aligner.state_dict()

    whole = trained(tmp_path / "whole")
    step = Aligner.training_step

    def until_five(self: Aligner, batch: dict, batch_idx: int) -> torch.Tensor:
        if self.global_step == 5:
            raise Killed
        return step(self, batch, batch_idx)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Aligner, "training_step", until_five)
        trained(tmp_path / "killed")
    resumed = trained(tmp_path / "killed")
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_what_is_not_there_or_damaged_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run stage 3"):
        read_phonemes(tmp_path, "train")
    (tmp_path / "train.jsonl").write_text(json.dumps({"id": "one"}) + "\n")
    with pytest.raises(InputError, match="damaged"):
        read_phonemes(tmp_path, "train")
