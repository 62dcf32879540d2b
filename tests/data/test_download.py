"""A download never replaces a corpus that the user put in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from wg.config import CorpusConfig
from wg.data.download import check_own
from wg.errors import InputError
from wg.stages.prepare import recipe_reader

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.mark.parametrize(
    "recipe, place",
    [
        ("ljspeech", "LJSpeech-1.1/wavs"),
        ("libritts", "LibriTTS/dev-clean/1"),
        ("sc09", "speech_commands/speech_commands_v0.02/one"),
    ],
)
def test_a_corpus_put_there_by_hand_stays(tmp_path: Path, recipe: str, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    with pytest.raises(InputError, match="did not download it.*--corpus-dir"):
        recipe_reader(RECIPES / recipe).download(tmp_path, CorpusConfig(recipe))
    assert (tmp_path / place).is_dir()


def test_what_an_interrupted_extraction_left_is_ours(tmp_path: Path) -> None:
    (tmp_path / "x" / "half").mkdir(parents=True)
    (tmp_path / "x.tar.gz").write_bytes(b"")
    check_own(tmp_path / "x", "x.tar.gz")
