"""A bench file is checked before anything runs; its cells are the product of its lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_vocoder import tiny_vocoder

from wg.bench.plan import Cell, VocoderEntry, cells_of, fingerprint, read_bench
from wg.bench.systems import system_of
from wg.errors import InputError
from wg.inference.history import FoundSchedule, History

FILE = """
corpora: {lj: {audio: wavs}, de: {audio: other, rate: 22050, limit: 3}}
vocoders:
  truth: {kind: recording}
  ours: {kind: wg, folder: exp/vocoder, corpora: [lj]}
  vocos: {kind: external, factory: "wg.bench.external:vocos", mel: vocos, precisions: [32]}
steps: [6, "25"]
samplers: [ancestral]
precisions: ["32", bf16]
metrics: [stoi, lsd]
"""


def test_cells_are_the_product_of_what_applies(tmp_path: Path) -> None:
    (tmp_path / "bench.yaml").write_text(FILE)
    names = [cell.name for cell in cells_of(read_bench(tmp_path / "bench.yaml"))]
    assert names == [
        "lj/truth",
        "lj/ours-6-steps-ancestral",
        "lj/ours-6-steps-ancestral-bf16",
        "lj/ours-25-steps-ancestral",
        "lj/ours-25-steps-ancestral-bf16",
        "lj/vocos",
        "de/truth",
        "de/vocos",
    ]
    bench = read_bench(tmp_path / "bench.yaml")
    assert [cell.name for cell in cells_of(bench, ["vocos"])] == ["lj/vocos", "de/vocos"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("kind: recording", "kind: record", "vocoders.truth, kind: 'record'; did you mean"),
        ("folder: exp/vocoder, ", "", "vocoders.ours: key 'folder' with kind wg: write it"),
        ("mel: vocos, ", "", "vocoders.vocos: key 'mel' with kind external: write it"),
        ("kind: recording", "kind: recording, mel: vocos", "key 'mel' with kind recording: remove"),
        ("corpora: [lj]", "corpora: [jl]", "vocoders.ours, corpora: 'jl'; did you mean 'lj'"),
        ("bf16", "fp16", "precision 'fp16'"),
        ("[stoi, lsd]", "[stoy]", "metrics: 'stoy' is unknown; did you mean 'stoi'"),
        ("[stoi, lsd]", "[]", "metrics is empty"),
        ("metrics:", "metricks:", "unknown key 'metricks'"),
        ("audio: wavs", "audio: 7", "audio is 7; write text"),
        ("kind: recording}", "kind: world, steps: [6]}", "samplers and context are for kind wg"),
        ("kind: recording}", "kind: world, context: 6}", "samplers and context are for kind wg"),
        ("steps: [6", "speed: {batch: 0}\nsteps: [6", "speed.batch is 0; give a positive number"),
        ("de:", '"d\\0e":', "a name is 'd\\x00e'; give a name that a file can have"),
        ("de:", "../de:", "'../de' cannot name a folder"),
        ("de:", f"{'d' * 300}:", "1 to 200 bytes"),
        ("limit: 3", "limit: 0", "corpora.de.limit is 0; give a positive number"),
        ("corpora: {lj: {audio: wavs}, de:", "other: {de:", "unknown key 'other'"),
    ],
)
def test_a_mistake_in_the_file_is_named(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in FILE
    path = tmp_path / "bench.yaml"
    path.write_text(FILE.replace(before, after))
    with pytest.raises(InputError) as error:
        read_bench(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_an_unknown_vocoder_asked_for_is_named(tmp_path: Path) -> None:
    (tmp_path / "bench.yaml").write_text(FILE)
    with pytest.raises(InputError, match="--only 'vocosh' is unknown; did you mean 'vocos'"):
        cells_of(read_bench(tmp_path / "bench.yaml"), ["vocosh"])


def test_cells_that_would_share_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "bench.yaml").write_text(FILE.replace('[6, "25"]', "[a/fast.json, b/fast.json]"))
    with pytest.raises(InputError, match="two cells have the name lj/ours-fast-ancestral"):
        cells_of(read_bench(tmp_path / "bench.yaml"))


def test_a_cell_changes_with_the_levels_that_its_schedule_stands_for(tmp_path: Path) -> None:
    (tmp_path / "bench.yaml").write_text(FILE.replace('"25"', "fast.json"))
    (tmp_path / "fast.json").write_text("[1e-4, 0.5]")
    bench = read_bench(tmp_path / "bench.yaml")
    vocoder, folder = tiny_vocoder(), tmp_path / "exp" / "vocoder"

    def fingerprints() -> dict[str, str]:
        cells = [cell for cell in cells_of(bench, ["ours"]) if cell.precision == "32"]
        return {str(cell.steps): fingerprint(bench, cell, tmp_path) for cell in cells}

    vocoder.save_pretrained(folder)
    before = fingerprints()
    assert fingerprints() == before
    levels = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    vocoder.history = History().with_found(
        FoundSchedule(6, "ancestral", levels, "ls_mse", 1, 2, "6")
    )
    vocoder.save_pretrained(folder)
    searched = fingerprints()
    assert searched["6"] != before["6"] and searched["fast.json"] == before["fast.json"]
    (tmp_path / "fast.json").write_text("[1e-4, 0.6]")
    assert fingerprints()["fast.json"] != before["fast.json"]
    for weight in vocoder.network.parameters():
        weight.mul_(2)
    vocoder.save_pretrained(folder)
    assert fingerprints()["6"] != searched["6"]


def test_the_path_of_a_schedule_file_counts_from_the_bench_file(tmp_path: Path) -> None:
    (tmp_path / "fast.json").write_text("[1e-4, 0.5]")
    tiny_vocoder().save_pretrained(tmp_path / "vocoder")
    entry, cell = VocoderEntry("wg", "vocoder"), Cell("lj", "ours", "fast.json")
    made = system_of(entry, cell, tmp_path, torch.device("cpu"))
    assert made.rate == 8000
    with pytest.raises(InputError, match="absent.json"):
        system_of(entry, replace(cell, steps="absent.json"), tmp_path, torch.device("cpu"))
