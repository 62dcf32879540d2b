"""Further judges, of packages that bring their weights: opinions of the synthesis, and voices.

Shapes: reference, synthesis [T], in [-1, 1]; see `wg.metrics.pairs`.

PLCMOS and DistillMOS hear the synthesis alone; the similarity of voices compares it with the
recording.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
import threading
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from wg.metrics.pairs import pair
from wg.metrics.perceptual import WIDE, resample
from wg.metrics.predicted import SHORTEST_S, at_16_khz, missing_dnsmos

_DRAWS = threading.Lock()  # of numpy's one global generator


def missing_plcmos() -> str | None:
    """Why PLCMOS cannot run here; None: it can. It is DNSMOS's neighbour in `speechmos`."""
    return missing_dnsmos()


def missing_distillmos() -> str | None:
    """Why DistillMOS cannot run here; None: it can."""
    if importlib.util.find_spec("distillmos") is None:
        return "the package distillmos is not installed; run pip install 'wg[judges-more]'"
    return None


def missing_similarity() -> str | None:
    """Why voices cannot be compared here; None: they can."""
    for package in ("resemblyzer", "webrtcvad"):
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed; run pip install 'wg[judges-more]'"
    return None


def plcmos(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """PLCMOS v2 of the synthesis, MOS 1 to 5, by `speechmos`: made to judge concealed gaps.

    Mean over 15 raters, which the package draws at random: here always the same ones. At 16 kHz.
    nan: silence, or less than 0.1 s.
    """
    wave = at_16_khz(reference, synthesis, sample_rate)
    if wave is None:
        return math.nan
    with _DRAWS:
        before = np.random.get_state()
        np.random.seed(0)
        try:
            found = plcmos_network()(np.clip(wave, -1, 1).astype(np.float32))
        finally:
            np.random.set_state(before)
    return float(found["plcmos"])


def distillmos(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """DistillMOS of the synthesis, MOS 1 to 5 (2502.05356), by the package of that name.

    At 16 kHz, windows of 7.68 s. nan: silence, or less than 0.1 s.
    """
    wave = at_16_khz(reference, synthesis, sample_rate)
    if wave is None:
        return math.nan
    with torch.inference_mode():
        return distillmos_network()(torch.from_numpy(wave).float()[None]).item()


def speaker_similarity(reference: np.ndarray, synthesis: np.ndarray, sample_rate: int) -> float:
    """Cosine of the voices' embeddings by `resemblyzer` (GE2E, 1710.10467): 1 the same.

    At 16 kHz, as loud as the package wants it, pauses cut out. nan: less than 0.1 s of speech.
    """
    both = pair(reference, synthesis, sample_rate)
    from resemblyzer import preprocess_wav  # pyright: ignore[reportMissingImports]

    embeddings = []
    for wave in both:
        if not wave.any():
            return math.nan
        speech = preprocess_wav(resample(wave, sample_rate, WIDE).astype(np.float32))
        if len(speech) < SHORTEST_S * WIDE:
            return math.nan
        embeddings.append(voice_network().embed_utterance(speech))
    return float(embeddings[0] @ embeddings[1])


@lru_cache(maxsize=1)
def plcmos_network() -> Any:
    """PLCMOS's network with its weights."""
    from speechmos.plcmos import PLCMOS

    return PLCMOS()


@lru_cache(maxsize=1)
def distillmos_network() -> Any:
    """DistillMOS's network with its weights."""
    from distillmos import ConvTransformerSQAModel  # pyright: ignore[reportMissingImports]

    with contextlib.redirect_stdout(io.StringIO()):  # it says where its weights lie
        return ConvTransformerSQAModel().eval()


@lru_cache(maxsize=1)
def voice_network() -> Any:
    """The encoder of voices with its weights."""
    from resemblyzer import VoiceEncoder  # pyright: ignore[reportMissingImports]

    return VoiceEncoder("cpu", verbose=False)
