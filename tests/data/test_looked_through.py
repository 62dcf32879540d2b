"""Audio that a killed run looked at is not decoded again, unless the file has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from wg.data import audio
from wg.data.audio import check_audio, recordings_of
from wg.processes import kept
from wg.processes.kept import Kept
from wg.stages.prepare import digest_of
from wg.stages.stage import digest


def cuts_of(folder: Path, count: int = 5) -> CutSet:
    wave = 0.1 * np.sin(np.arange(4000) / 5)
    for number in range(count):
        soundfile.write(folder / f"{number}.wav", wave + number / 100, 8000)
    recordings = recordings_of(sorted(folder.glob("*.wav")))
    return CutSet.from_cuts(recording.to_cut() for recording in recordings)


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    find = audio.find_problem

    def until_three(path: str, rate: int | None) -> str | None:
        looked.append(Path(path).stem)
        if stops and len(looked) > 3:
            raise KeyboardInterrupt
        return find(path, rate)

    monkeypatch.setattr(audio, "find_problem", until_three)
    monkeypatch.setattr(audio, "_CHUNK", 2)
    monkeypatch.setattr(kept, "MANY", 1)
    (tmp_path / "wavs").mkdir()
    cuts, stops = cuts_of(tmp_path / "wavs"), True
    found = Kept(tmp_path / ".data.prepare", "key")
    with pytest.raises(KeyboardInterrupt):
        check_audio(cuts, 1, 8000, kept=found)
    assert found.path is not None and found.path.read_text().count("[") == 2 * 3
    stops, looked[:] = False, []
    changed = tmp_path / "wavs" / "0.wav"
    soundfile.write(changed, np.full(10, 0.5), 8000)
    good, problems = check_audio(cuts, 1, 8000, skip_bad=True, kept=found)
    assert looked == ["0", "3", "4"]
    assert list(good.ids) == ["1", "2", "3", "4"] and len(problems) == 1


def test_a_manifests_digest_is_what_it_was_when_it_was_made_at_once(tmp_path: Path) -> None:
    cuts = cuts_of(tmp_path)
    assert digest_of(cuts) == digest({"cuts": [cut.to_dict() for cut in cuts.data]})
