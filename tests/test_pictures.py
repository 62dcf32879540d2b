"""Spectrogram pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wg.pictures import pixels_of, spectrogram_pair


@pytest.mark.parametrize("longer", ["recording", "synthesis"])
def test_the_longer_of_recording_and_synthesis_is_seen_to_its_end(
    tmp_path: Path, longer: str
) -> None:
    short, silent = torch.zeros(2000), torch.zeros(16_000)
    loud_at_the_end = torch.cat([silent[:12_000], torch.ones(4000)])
    seen = []
    for number, long in enumerate((silent, loud_at_the_end)):
        path = tmp_path / f"{number}.png"
        pair = (long, short) if longer == "recording" else (short, long)
        spectrogram_pair(*pair, 8000, path)
        seen.append(pixels_of(path))
    assert (seen[0] != seen[1]).any()
