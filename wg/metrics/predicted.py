"""Opinion scores that networks predict from the synthesis alone; the reference is only checked.

Shapes: reference, synthesis [T], in [-1, 1]; see `wg.metrics.pairs`.

Their weights are not ours to ship. A network whose weights are not on disk is not downloaded:
`missing_*` says what lacks and where it belongs.
"""

from __future__ import annotations

import importlib.util
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wg.metrics.pairs import pair
from wg.metrics.perceptual import WIDE, resample

UTMOS_REPOSITORY, UTMOS_FILE = "Blinorot/UTMOS-PyTorch", "utmos_state_dict.pt"
SQUIM_FILE = "torchaudio/models/squim_objective_dns2020.pth"  # below torch.hub's folder
SHORTEST_S = 0.1  # less than any of the networks' receptive fields can judge


def missing_dnsmos() -> str | None:
    """Why DNSMOS cannot run here; None: it can. Its weights lie in the package."""
    for package in ("speechmos", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed; run pip install 'wg[judges]'"
    return None


def missing_utmos() -> str | None:
    """Why UTMOS cannot run here; None: it can."""
    if importlib.util.find_spec("utmos_pytorch") is None:
        return "the package utmos-pytorch is not installed; run pip install 'wg[judges]'"
    if utmos_weights() is None:
        return (
            f"its weights are not on disk; run hf download {UTMOS_REPOSITORY} {UTMOS_FILE} "
            "where a network is, and bring the Hugging Face cache here"
        )
    return None


def missing_squim() -> str | None:
    """Why SQUIM cannot run here; None: it can."""
    if not squim_weights().is_file():
        return (
            f"its weights are not on disk; put torchaudio's {squim_weights().name} into "
            f"{squim_weights().parent}"
        )
    return None


def utmos_weights() -> Path | None:
    """UTMOS's weights in the Hugging Face cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(UTMOS_REPOSITORY, UTMOS_FILE)
    return Path(found) if isinstance(found, str) else None


def squim_weights() -> Path:
    """Where torchaudio keeps SQUIM's weights."""
    return Path(torch.hub.get_dir()) / SQUIM_FILE


def dnsmos_scores(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int
) -> dict[str, float]:
    """DNSMOS P.835 and P.808 of the synthesis, MOS 1 to 5, by `speechmos`.

    dnsmos_sig, dnsmos_bak, dnsmos_ovrl: speech, background and overall of P.835; dnsmos_p808:
    overall of P.808. At 16 kHz, windows of 9.01 s; shorter audio is repeated. Made to judge
    denoisers. nan: silence, or less than 0.1 s.
    """
    names = {f"dnsmos_{key}": f"{key}_mos" for key in ("sig", "bak", "ovrl", "p808")}
    wave = at_16_khz(reference, synthesis, sample_rate)
    if wave is None:
        return dict.fromkeys(names, math.nan)
    from speechmos import dnsmos

    found: Any = dnsmos.run(np.clip(wave, -1, 1), WIDE)
    return {name: float(found[key]) for name, key in names.items()}


def squim_scores(
    reference: np.ndarray, synthesis: np.ndarray, sample_rate: int
) -> dict[str, float]:
    """torchaudio's SQUIM estimates of the synthesis: STOI, PESQ-WB (MOS) and SI-SDR (dB).

    What they would be against a clean reference that the network never sees. At 16 kHz. nan:
    silence, or less than 0.1 s.
    """
    names = ("squim_stoi", "squim_pesq", "squim_si_sdr")
    wave = at_16_khz(reference, synthesis, sample_rate)
    if wave is None:
        return dict.fromkeys(names, math.nan)
    with torch.inference_mode():
        found = squim()(torch.from_numpy(wave).float()[None])
    return {name: value.item() for name, value in zip(names, found, strict=True)}


def utmos(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """UTMOS of the synthesis, MOS 1 to 5: the strong learner of 2204.02152, by `utmos-pytorch`.

    At 16 kHz. nan: silence, or less than 0.1 s.
    """
    wave = at_16_khz(reference, synthesis, sample_rate)
    if wave is None:
        return math.nan
    with torch.inference_mode():
        return float(utmos_network().score(torch.from_numpy(wave).float()[None]))


def at_16_khz(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> np.ndarray | None:
    """The synthesis at 16 kHz, [T']; None where there is nothing to judge."""
    _, synthesis = pair(reference, synthesis, sample_rate)
    if len(synthesis) < SHORTEST_S * sample_rate or not synthesis.any():
        return None
    return resample(synthesis, sample_rate, WIDE)


@lru_cache(maxsize=1)
def squim() -> Any:
    """SQUIM's network with its weights."""
    from torchaudio.pipelines import SQUIM_OBJECTIVE

    return SQUIM_OBJECTIVE.get_model()


@lru_cache(maxsize=1)
def utmos_network() -> Any:
    """UTMOS's network with its weights."""
    from utmos_pytorch import UTMOSScoreTorch

    return UTMOSScoreTorch(str(utmos_weights()))
