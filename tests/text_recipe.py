"""A tiny recipe for a model that reads text, with durations made up instead of stage 3."""

from __future__ import annotations

from pathlib import Path

from tiny_recipe import TinyRecipe, make_recipe

from wg.data.dump import Dump
from wg.data.phonemes import Phonemes, write_phonemes
from wg.stages.stage import write_stamp

MODEL = """
model:
  name: wavegrad2
  encoder_channels: 8
  predictor_channels: 4
  speaker_channels: 4
  duration_domain: log
  mel_channels: 8
  up_channels: [8, 8, 8, 4, 4]
  wave_channels: 4
  down_channels: [4, 4, 8, 8]
train: {segment_samples: 1024, batch_size: 4, max_steps: 8, valid_every: 4, valid_levels: 3,
        learning_rate: 1.0e-2, ema: 0.5, workers: 0, log_every: 4, sample_every: 4}
decode: {schedule: "2", clip: 0.5}
score: {metrics: [mcd_dtw, vde_dtw], baselines: [noise]}
"""
SYMBOLS = ("sil", "T", "OW1", "N", ".", "eos")
NAME = "wavegrad2"


class TextRecipe(TinyRecipe):
    """Two speakers taking turns; each of them says "Tone"."""

    @property
    def phonemes(self) -> Path:
        return self.work / "data" / "phonemes" / f"{NAME}-{self.dump.name}"

    @property
    def exp(self) -> Path:
        return self.work / "exp" / f"tiny-{NAME}"

    def run_text(self, *further: str):
        """The recipe with the model that reads text."""
        return self.run("--model", NAME, *further)

    def make_up_durations(self) -> None:
        """What stage 3 would leave: equal shares, the last symbol with the rest."""
        folder = self.phonemes
        for split in ("train", "valid", "test"):
            made = []
            for entry in Dump(self.dump / split).utterances:
                share = entry.frames // len(SYMBOLS)
                last = entry.frames - share * (len(SYMBOLS) - 1)
                durations = (share,) * (len(SYMBOLS) - 1) + (last,)
                made.append(Phonemes(entry.id, entry.text, entry.speaker, SYMBOLS, durations))
            write_phonemes(folder, split, made)
        write_stamp(folder / "stage-phonemes.json", {"digest": "made up"})


def make_text_recipe(root: Path) -> TextRecipe:
    """The tiny recipe with this model and two speakers."""
    plain = make_recipe(root)
    made = TextRecipe(plain.root, plain.corpus)
    (made.folder / "conf" / f"{NAME}.yaml").write_text(MODEL)
    metadata = made.corpus / "metadata.csv"
    lines = metadata.read_text().splitlines()
    voices = ("anna", "bert")
    metadata.write_text(
        "".join(
            f"{line.split('|')[0]}|Tone.|Tone.|{voices[n % 2]}\n" for n, line in enumerate(lines)
        )
    )
    return made
