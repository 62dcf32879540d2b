"""`wg score` pairs any two folders of audio and says what cannot be scored."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_recipe import RATE, tone, wg

from wg.bench import error_rates
from wg.bench.folders import Scoring, audio_files, pairs, score_pairs
from wg.metrics import recogniser

METRICS = "ls_mse,lsd,f0_rmse_cents,si_sdr,level_difference,delay_ms"


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(9).standard_normal(samples)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three recordings and the same with noise."""
    for folder, level in (("ref", 0.0), ("syn", 0.01)):
        (tmp_path / folder).mkdir()
        for number in (1, 2, 3):
            wave = 0.4 * tone(number)
            wave += level * noise(len(wave))
            soundfile.write(tmp_path / folder / f"clip-{number}.wav", wave, RATE, subtype="FLOAT")
    return tmp_path / "ref", tmp_path / "syn"


def run(reference: Path, *syntheses: Path | str, more: tuple[str, ...] = ()):
    chosen = [word for item in syntheses for word in ("--syn", str(item))]
    return wg("score", "--ref", str(reference), *chosen, "--metrics", METRICS, "--jobs", "1", *more)


def means(path: Path, system: str = "syn") -> dict[str, dict[str, float]]:
    return json.loads(path.read_text())["means"][system]


def test_a_folder_against_itself_is_perfect(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "scores.json"
    done = run(folders[0], f"same={folders[0]}", more=("-o", str(out)))
    assert done.code == 0, done
    found = means(out, "same")
    assert (found["lsd"]["mean"], found["si_sdr"]["mean"], found["lsd"]["count"]) == (0, 100, 3)
    assert "same: 3 pairs" in done.out


def test_systems_are_compared_pair_by_pair(folders: tuple[Path, Path], tmp_path: Path) -> None:
    reference, synthesis = folders
    out = tmp_path / "scores.json"
    done = run(reference, synthesis, f"copy={reference}", more=("-o", str(out)))
    assert done.code == 0, done
    content = json.loads(out.read_text())
    found = content["differences"]["syn - copy"]["si_sdr"]
    gaps = [row["si_sdr"] - 100 for row in content["utterances"]["syn"].values()]
    assert found["mean"] == pytest.approx(np.mean(gaps))
    assert (found["count"], found["high"] < 0) == (3, True)
    assert "* (n=3)" in done.out


def test_parquet_holds_a_row_an_utterance(folders: tuple[Path, Path], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "scores.parquet"
    assert run(*folders, more=("-o", str(out))).code == 0
    rows = parquet.read_table(out).to_pylist()
    assert [(row["system"], row["utterance"]) for row in rows] == [
        ("syn", f"clip-{number}") for number in (1, 2, 3)
    ]
    assert all(row["si_sdr"] < 30 for row in rows)


def test_a_constant_delay_is_taken_out_and_told(tmp_path: Path) -> None:
    for folder, late in (("ref", 0), ("syn", 80)):
        (tmp_path / folder).mkdir()
        wave = np.concatenate([np.zeros(late), 0.4 * tone(1)])
        soundfile.write(tmp_path / folder / "a.wav", wave, RATE, subtype="FLOAT")
    out = tmp_path / "scores.json"
    told = run(tmp_path / "ref", tmp_path / "syn", more=("-o", str(out)))
    assert "1 pairs, 1 after a delay of up to 10.0 ms was taken out" in told.out
    assert (means(out)["delay_ms"]["mean"], means(out)["si_sdr"]["mean"]) == (10, 100)
    as_is = run(tmp_path / "ref", tmp_path / "syn", more=("-o", str(out), "--as-is"))
    assert as_is.code == 0
    assert (means(out)["delay_ms"]["mean"], means(out)["si_sdr"]["mean"] < 20) == (10, True)


def test_formats_and_folders_need_not_agree(folders: tuple[Path, Path], tmp_path: Path) -> None:
    reference, _ = folders
    other = tmp_path / "other" / "deep"
    other.mkdir(parents=True)
    for path in reference.iterdir():
        audio, rate = soundfile.read(path)
        soundfile.write(other / f"{path.stem}_gen.FLAC", audio, rate)
    (other / "notes.txt").write_text("not audio")
    found, alone = pairs(reference, tmp_path / "other", r"(clip-\d)")
    assert ([pair.id for pair in found], alone) == (["clip-1", "clip-2", "clip-3"], [])
    assert run(reference, tmp_path / "other", more=("--match", r"(clip-\d)")).code == 0


def test_another_rate_is_resampled_only_when_asked(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    reference, synthesis = folders
    audio, _ = soundfile.read(synthesis / "clip-2.wav")
    soundfile.write(synthesis / "clip-2.wav", np.repeat(audio, 2), 2 * RATE)
    line = run(*folders).complaint()
    assert "clip-2.wav: 16000 Hz" in line and "--rate 8000" in line
    out = tmp_path / "scores.json"
    assert run(*folders, more=("--rate", "8000", "-o", str(out))).code == 0
    assert means(out)["lsd"]["count"] == 3


def test_undefined_scores_are_counted_and_never_averaged(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    reference, synthesis = folders
    for folder in folders:
        path = folder / "clip-2.wav"
        soundfile.write(path, np.zeros(soundfile.info(path).frames), RATE)
    out = tmp_path / "scores.json"
    done = run(*folders, more=("-o", str(out)))
    assert done.code == 0, done
    content = json.loads(out.read_text())
    rows, pitch = content["utterances"]["syn"], means(out)["f0_rmse_cents"]
    assert rows["clip-2"]["f0_rmse_cents"] is None
    assert (pitch["count"], pitch["undefined"]) == (2, 1)
    kept = [rows[name]["f0_rmse_cents"] for name in ("clip-1", "clip-3")]
    assert pitch["mean"] == pytest.approx(np.mean(kept))
    assert "(1 undefined)" in done.out


def spoil_nan(path: Path) -> None:
    audio, rate = soundfile.read(path)
    audio[7] = math.nan
    soundfile.write(path, audio, rate, subtype="FLOAT")


def spoil_channels(path: Path) -> None:
    audio, rate = soundfile.read(path)
    soundfile.write(path, np.stack([audio, audio], axis=1), rate)


def spoil_length(path: Path) -> None:
    audio, rate = soundfile.read(path)
    soundfile.write(path, audio[: -rate // 10], rate)


SPOILT = {
    "1 NaN": spoil_nan,
    "2 channels": spoil_channels,
    "they may differ by 0.05 s": spoil_length,
    "not readable as audio": lambda path: path.write_bytes(b"no audio"),
    "no samples": lambda path: soundfile.write(path, np.zeros(0), RATE),
    "no partner in": lambda path: path.unlink(),
}


@pytest.mark.parametrize("message", SPOILT)
@pytest.mark.parametrize("side", [0, 1])
def test_one_bad_file_is_named_before_anything_is_scored_and_can_be_left_out(
    folders: tuple[Path, Path], tmp_path: Path, message: str, side: int
) -> None:
    SPOILT[message](folders[side] / "clip-2.wav")
    out = tmp_path / "scores.json"
    line = run(*folders, more=("-o", str(out))).complaint()
    assert message in line and "clip-2.wav" in line and "--skip-bad" in line
    assert not out.exists()
    done = run(*folders, more=("-o", str(out), "--skip-bad"))
    assert done.code == 0 and message in done.err
    assert list(json.loads(out.read_text())["utterances"]["syn"]) == ["clip-1", "clip-3"]


def test_a_rate_that_no_metric_takes_is_named_before_anything_is_scored(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    for folder in folders:
        audio, _ = soundfile.read(folder / "clip-2.wav")
        soundfile.write(folder / "clip-2.wav", audio, 4000)
    out = tmp_path / "scores.json"
    line = run(*folders, more=("-o", str(out))).complaint()
    assert "1 files cannot be scored" in line
    assert "clip-2.wav: 4000 Hz; metrics need at least 8000" in line
    assert run(*folders, more=("-o", str(out), "--skip-bad")).code == 0
    assert means(out)["lsd"]["count"] == 2


def test_speech_of_another_timing_is_scored_by_warped_metrics_alone(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    reference, synthesis = folders
    for path in synthesis.iterdir():
        audio, rate = soundfile.read(path)
        soundfile.write(path, np.concatenate([audio, audio[: rate // 2]]), rate)
    assert "choose metrics whose names end in _dtw" in run(*folders).complaint()
    out = tmp_path / "scores.json"
    folder = ("--ref", str(reference), "--syn", str(synthesis), "--jobs", "1", "-o", str(out))
    done = wg("score", *folder, "--metrics", "mcd_dtw,f0_rmse_cents_dtw")
    assert done.code == 0, done
    found = means(out)
    assert found["mcd_dtw"]["count"] == 3 and found["mcd_dtw"]["mean"] > 0
    assert "choose metrics" in wg("score", *folder, "--metrics", "mcd_dtw,mcd").complaint()


def test_many_missing_partners_are_listed(folders: tuple[Path, Path]) -> None:
    reference, synthesis = folders
    for number in range(10, 20):
        (reference / f"clip-{number}.wav").write_bytes((reference / "clip-1.wav").read_bytes())
    line = run(reference, synthesis).complaint()
    assert line.startswith("wg: error: 10 files cannot be scored")
    assert "clip-10.wav" in line and "and 5 more" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--syn", "{empty}"), "no audio files (it has none)"),
        (("--syn", "{empty}/none"), "no such folder"),
        (("--syn", "{other}/x.wav"), "x.wav: a file; give the folder it is in"),
        (("--syn", "{syn}", "--match", "("), "not a regular expression"),
        (("--syn", "{syn}", "--match", "voice-(.)"), "none of its 3 audio files matches"),
        (("--syn", "{syn}", "--match", "(clip)"), "the same id 'clip'"),
        (("--syn", "{syn}", "--syn", "{syn}"), "'syn' is given twice"),
        (("--syn", "{syn}", "--metrics", "pesk"), "--metrics: 'pesk' is unknown"),
        (("--syn", "{syn}", "--jobs", "0"), "--jobs 0"),
        (("--syn", "{syn}", "--rate", "0"), "--rate 0: give at least 8000, in Hz"),
        (("--syn", "{syn}", "--rate", "7999"), "--rate 7999: give at least 8000, in Hz"),
        (("--syn", "{syn}", "-o", "scores.csv"), "ends in .json or .parquet"),
        (("--syn", "{other}"), "no ids in common, such as 'clip-1' and 'x'"),
    ],
)
def test_a_mistake_is_one_line(
    folders: tuple[Path, Path], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.wav").write_bytes((folders[0] / "clip-1.wav").read_bytes())
    places = {"empty": tmp_path / "empty", "syn": folders[1], "other": tmp_path / "other"}
    told = [word.format(**places) for word in arguments]
    assert message in wg("score", "--ref", str(folders[0]), *told).complaint()


def test_every_metric_that_can_be_computed_is_and_the_rest_are_named(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wg.commands.score import chosen
    from wg.metrics import METRICS as KNOWN

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("torch.hub.get_dir", lambda: "/nowhere")
    assert (
        chosen("all")
        == chosen("signal")
        == tuple(name for name, metric in KNOWN.items() if not metric.missing())
    )


def test_processes_give_identical_scores(folders: tuple[Path, Path]) -> None:
    found, _ = pairs(*folders)
    scoring = Scoring(("ls_mse", "mcd", "f0_rmse_hz", "stoi"))
    assert score_pairs(found, scoring, 2) == score_pairs(found, scoring, 1)


def test_ids_are_paths_without_their_ending(tmp_path: Path) -> None:
    for name in ("a/x.wav", "b/x.wav", "b/c.d.WAV"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.zeros(9), RATE, format="WAV")
    assert list(audio_files(tmp_path)) == ["a/x", "b/c.d", "b/x"]


class Hears:
    """Hears "TONE ONE" in every file that is as long as the first clip, nothing in the others."""

    def __call__(self, wave: np.ndarray, rate: int) -> str:
        return "TONE ONE" if len(wave) == len(tone(1)) else ""


@pytest.fixture
def heard_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (recogniser, error_rates):
        monkeypatch.setattr(module, "load_recogniser", lambda name: Hears())
    path = tmp_path / "metadata.csv"
    path.write_text("clip-1|Tone 1.\nclip-2|Tone two.\nclip-3|A tone.\nclip-4|Not there.\n")
    return path


def test_texts_add_error_rates_of_systems_and_recordings(
    folders: tuple[Path, Path], tmp_path: Path, heard_texts: Path
) -> None:
    reference, synthesis = folders
    out = tmp_path / "scores.json"
    done = run(reference, synthesis, more=("--texts", str(heard_texts), "-o", str(out)))
    assert done.code == 0, done
    for system in ("syn", "recording"):
        assert means(out, system)["wer"]["mean"] == pytest.approx(2 / 3)
        assert means(out, system)["cer"]["mean"] == pytest.approx(2 / 3)
    content = json.loads(out.read_text())
    assert content["utterances"]["syn"]["clip-1"]["wer"] == 0
    assert set(content["utterances"]["recording"]["clip-2"]) == {"wer", "cer"}
    assert content["differences"]["syn - recording"]["wer"]["mean"] == 0
    assert "wer (share)" in done.out


def test_a_text_that_lacks_is_named(folders: tuple[Path, Path], heard_texts: Path) -> None:
    heard_texts.write_text("clip-1|Tone 1.\n")
    line = run(*folders, more=("--texts", str(heard_texts))).complaint()
    assert f"--texts: {heard_texts}: no text of clip-2; clip-3; add `id|text` for each" in line


def test_without_a_recogniser_the_rest_is_scored(
    folders: tuple[Path, Path], heard_texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    more = ("--texts", str(heard_texts), "--recogniser", "faster-whisper:/nowhere")
    done = run(*folders, more=more)
    assert done.code == 0, done
    assert "--texts: no error rates of words and characters: " in done.err
    assert "si_sdr" in done.out and "wer" not in done.out
