"""A packed vocoder: mels in, the same waveforms out however they are grouped, and its mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_recipe import Outcome, TinyRecipe

from wg.diffusion.samplers import SAMPLERS
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder

GENTLE = SamplingConfig(schedule="diffwave-fast-base", clip=1.0)  # a long way through the network


@pytest.fixture(scope="module")
def packed(finished: tuple[TinyRecipe, Outcome]) -> Path:
    return finished[0].exp / "vocoder"


@pytest.fixture(scope="module")
def vocoder(packed: Path) -> Vocoder:
    return Vocoder.from_pretrained(packed)


@pytest.fixture
def folder(packed: Path, tmp_path: Path) -> Path:
    """A vocoder folder to spoil."""
    for path in packed.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def mel(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(10, frames, generator=torch.Generator().manual_seed(seed)) - 4


def test_a_frame_becomes_a_hop_of_samples(vocoder: Vocoder) -> None:
    assert vocoder(mel(7)).shape == (7 * 64,)
    assert vocoder(mel(7)[None]).shape == (1, 7 * 64)


def test_a_mel_alone_and_in_a_batch_of_one_sound_the_same(vocoder: Vocoder) -> None:
    assert torch.equal(vocoder(mel(9), GENTLE), vocoder(mel(9)[None], GENTLE)[0])


def test_a_batch_sounds_as_each_alone(vocoder: Vocoder) -> None:
    lengths, seeds = (5, 12, 9), (3, 1, 2)
    mels = [mel(length, seed) for length, seed in zip(lengths, seeds, strict=True)]
    batch = torch.full((3, 10, 12), -11.5)
    for row, one in zip(batch, mels, strict=True):
        row[:, : one.shape[1]] = one
    waves = vocoder(batch, GENTLE, seed=seeds, lengths=torch.tensor(lengths))
    for wave, one, seed in zip(waves, mels, seeds, strict=True):
        alone = vocoder(one, GENTLE, seed=seed)
        assert float(alone.abs().max()) > 0.01
        assert torch.allclose(wave[: len(alone)], alone, atol=1e-5)


def test_a_seed_decides_the_waveform(vocoder: Vocoder) -> None:
    first, again, other = (vocoder(mel(9), GENTLE, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.allclose(first, other, atol=1e-3)


def test_the_schedule_is_the_packed_one_unless_another_is_given(vocoder: Vocoder) -> None:
    assert vocoder.synthesis.schedule == "2"
    default = vocoder(mel(9))
    assert torch.equal(default, vocoder(mel(9), SamplingConfig(schedule="2", clip=0.5)))
    assert not torch.allclose(default, vocoder(mel(9), vocoder.synthesis.with_schedule("3")))


def test_the_weights_are_the_averaged_ones(
    finished: tuple[TinyRecipe, Outcome], vocoder: Vocoder
) -> None:
    from wg.inference.checkpoint import find_checkpoint, read_checkpoint

    content = read_checkpoint(find_checkpoint(finished[0].exp, "best"))
    name = "wave_conv.weight"
    averaged = content["state_dict"][f"network.{name}"]
    assert torch.equal(vocoder.network.state_dict()[name], averaged)
    assert not torch.equal(averaged, content["current_model_state"][f"network.{name}"])


def test_saving_and_loading_changes_nothing(vocoder: Vocoder, tmp_path: Path) -> None:
    vocoder.save_pretrained(tmp_path / "again", "# card\n")
    again = Vocoder.from_pretrained(tmp_path / "again")
    assert torch.equal(vocoder(mel(9)), again(mel(9)))
    assert (again.model, again.mel_spec) == (vocoder.model, vocoder.mel_spec)
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_saving_keeps_the_card_that_is_there(vocoder: Vocoder, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Scores that took hours.\n")
    vocoder.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "Scores that took hours.\n"
    vocoder.save_pretrained(tmp_path, "# another\n")
    assert (tmp_path / "README.md").read_text() == "# another\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: mel(9).T, r"mel of shape \[9, 10\]; this vocoder takes \[10, frames\]"),
        (lambda: mel(0), r"mel of shape \[10, 0\]"),
        (lambda: mel(9)[None, None], r"mel of shape \[1, 1, 10, 9\]"),
        (lambda: mel(9)[0], r"mel of shape \[9\]"),
        (lambda: mel(9).log(), "mel holds NaN or infinite values"),
        (lambda: mel(9) / 0, "mel holds NaN or infinite values"),
    ],
)
def test_a_mel_that_is_none_is_refused(
    vocoder: Vocoder, given: Callable[[], torch.Tensor], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        vocoder(given())


@pytest.mark.parametrize(
    ("synthesis", "message"),
    [
        (SamplingConfig(schedule="0"), "steps is 0"),
        (SamplingConfig(schedule="wavegrad"), "schedule 'wavegrad': not a step count"),
        (SamplingConfig(sampler="dimm"), f"sampler 'dimm' is unknown; .*{sorted(SAMPLERS)[0]}"),
        (SamplingConfig("ivanvovk-6", "ddim"), "starts at level 0.964, .* 11 dB too loud"),
        (SamplingConfig("quantiles-1001"), "has quantiles 1 to 1000"),
    ],
)
def test_an_unknown_way_to_sample_is_refused(
    vocoder: Vocoder, synthesis: SamplingConfig, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        vocoder(mel(5), synthesis)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"dilation": "lmnt"}}, "unknown key 'dilation'; did you mean 'dilations'"),
        ({"model": {"name": "wavegrat"}}, "model.name 'wavegrat' is unknown; did you mean"),
        ({"model": {"mel_channels": "many"}}, "config.json: "),
        ({"model": {"up_channels": [8, 8]}}, "model.up_channels has 2 entries"),
        ({"model": {"mel_channels": 16}}, "weights do not fit config.json"),
        ({"model": {"mel_channels": 10**12}}, "model.mel_channels is 1000000000000"),
        ({"model": {"up_repeats": 2}}, "fit config.json: ublocks.0.1.* is not in the file"),
        ({"model": {"up": "cubic"}}, "config.json: up is 'cubic'; .*choose from: linear, nearest"),
        ({"mel": {"hop_length": 60}}, "mel.hop_length 60"),
        ({"mel": {"hop_len": 60}}, "unknown key 'mel.hop_len'; did you mean 'hop_length'"),
        ({"mel": {"n_mels": 11}}, "weights do not fit config.json"),
        ({"diffusion": {"end": 2.0}}, "betas need 0 < start <= end < 1"),
        ({"synthesis": {"sampler": "ddpm"}}, "config.json: sampler 'ddpm' is unknown"),
        ({"synthesis": {"samplr": "x"}}, "unknown key 'samplr'; did you mean 'sampler'"),
        ({"synthesis": {"consistency": 0.5}}, "consistency is .0.5.; it holds keys and values"),
        ({"format": 99}, "format 99; this wg reads format 1"),
        ({"model": None}, "config.json: not as wg wrote it"),
    ],
)
def test_a_config_that_is_not_wgs_names_what_is_wrong(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for section, values in change.items():
        merged = {**config[section], **values} if isinstance(values, dict) else values
        config[section] = merged
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match=message) as caught:
        Vocoder.from_pretrained(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_that_is_no_vocoder_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere/config.json: no such file; .* not a vocoder"):
        Vocoder.from_pretrained(folder / "nowhere")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="model.safetensors: not a readable safetensors file"):
        Vocoder.from_pretrained(folder)
    weights.unlink()
    with pytest.raises(InputError, match="model.safetensors: no such file"):
        Vocoder.from_pretrained(folder)
    for text, words in (("{", "not JSON"), ("[]", "holds a list"), ("{}", "keys .* are missing")):
        weights.write_bytes(b"")
        (folder / "config.json").write_text(text)
        with pytest.raises(InputError, match=words):
            Vocoder.from_pretrained(folder)


def test_a_vocoder_works_without_lightning_or_omegaconf(packed: Path) -> None:
    program = f"""
import sys
for name in ("lightning", "omegaconf", "lhotse", "librosa", "torchaudio"):
    sys.modules[name] = None
import torch
from wg.inference.vocoder import Vocoder
print(len(Vocoder.from_pretrained({str(packed)!r})(torch.zeros(10, 4))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "256\n", done.stderr
