"""Mel spectrograms of other systems, by name.

Read from the projects named beside each; what a spec cannot say is in its comment. Audio
treatment (peak normalisation, pre-emphasis, dither, trimming) is never part of a spec.
"""

from __future__ import annotations

from dataclasses import replace

from wg.errors import InputError, nearest
from wg.mel.spec import MelSpec

# WaveGrad paper (2009.00713): rate, window, hop, FFT and bands are the paper's; it does not state
# filterbank, power, log, floor or framing. Those are our choices: the Tacotron 2 family's, and
# framing "hop", whose frames are centred on the samples they condition.
_WAVEGRAD_PAPER = MelSpec(
    sample_rate=24000,
    n_fft=2048,
    win_length=1200,
    hop_length=300,
    framing="hop",
    n_mels=128,
    fmin=20.0,
    fmax=12000.0,
)

# lmnt-com/wavegrad, preprocess.py, at the 24 kHz of its published checkpoint (its params.py says
# 22,050). 20 log10 - 20 dB over 100 dB: the range clip acts at 1e-4, before the floor does.
_LMNT_WAVEGRAD = MelSpec(
    sample_rate=24000,
    n_fft=2048,
    win_length=1200,
    hop_length=300,
    window_norm=True,
    n_mels=128,
    fmin=20.0,
    mel_scale="htk",
    mel_norm="none",
    log="db",
    gain=0.01,
    offset=0.8,
    clip_min=0.0,
    clip_max=1.0,
)

# lmnt-com/diffwave, preprocess.py. At 22,050 Hz, the rate of its params.py.
_LMNT_DIFFWAVE = replace(
    _LMNT_WAVEGRAD, sample_rate=22050, n_fft=1024, win_length=1024, hop_length=256, n_mels=80
)

# ivanvovk/WaveGrad, default.json: power mel, log10 without a floor. There, bands of exactly zero
# become 0 (the value of unit energy); the floor, about the smallest float32, is never met. The last
# frame of T // hop + 1 is dropped there, not here.
_IVANVOVK = MelSpec(
    sample_rate=22050,
    n_fft=1024,
    win_length=1024,
    hop_length=300,
    power=2,
    n_mels=80,
    fmin=80.0,
    fmax=8000.0,
    mel_scale="htk",
    mel_norm="none",
    log="log10",
    floor=1e-37,
    zero=0.0,
)

# NVIDIA/tacotron2, TacotronSTFT: also WaveGlow and the features of DiffWave's authors.
_TACOTRON2 = MelSpec(
    sample_rate=22050, n_fft=1024, win_length=1024, hop_length=256, n_mels=80, fmax=8000.0
)

# jik876/hifi-gan, meldataset.py, config v1-v3. Its audio is scaled to a peak of 0.95 first.
_HIFIGAN = replace(_TACOTRON2, framing="hop", magnitude_eps=1e-9)

# kan-bayashi/ParallelWaveGAN, egs/ljspeech, before its normalisation: the mean and scale of the
# user's own statistics file go into `mean` and `std`.
_PARALLEL_WAVEGAN = replace(_TACOTRON2, fmin=80.0, fmax=7600.0, log="log10", floor=1e-10)

# espnet/espnet, espnet2 LogMelFbank with egs2/ljspeech/tts1's settings, before global or utterance
# MVN. |S|^2 is clamped, and so reaches the log long before its own floor does.
_ESPNET2 = replace(_PARALLEL_WAVEGAN, magnitude_eps=1e-10, magnitude_eps_mode="clip")

# huggingface/transformers, SpeechT5FeatureExtractor; its HiFi-GAN applies mean and scale itself.
_SPEECHT5 = replace(_PARALLEL_WAVEGAN, sample_rate=16000)

# NVIDIA/NeMo, FastPitch v1.05 and the aligner. Which guard (add or clamp) a checkpoint was trained
# with, and reflection or zeros at the ends, depends on its version: read the checkpoint's config.
_NEMO = replace(_TACOTRON2, window="hann_symmetric", floor_mode="add")

# NVIDIA/NeMo, HiFi-GAN configs: exact_pad, clamp, and no epsilon when use_grads is false.
_NEMO_HIFIGAN = replace(_TACOTRON2, window="hann_symmetric", framing="hop")

# pytorch/audio, examples/pipeline_wavernn and the Tacotron 2 beside it: librosa's filterbank, ln.
# Its vocoder turns that into 20 log10, from -100 dB to 0 dB, itself.
_TORCHAUDIO_WAVERNN = replace(
    _TACOTRON2, n_fft=2048, win_length=1100, hop_length=275, fmin=40.0, fmax=None
)

# r9y9/wavenet_vocoder, presets/ljspeech_mixture.json and audio.py: 20 log10 - 20 dB from -100 dB
# to 0 dB. It analyses by lws, whose window (a root of Hann's) and ends no spec can say: features of
# its own programs differ from these.
_WAVENET_VOCODER = replace(
    _TACOTRON2,
    fmin=125.0,
    fmax=7600.0,
    log="db",
    gain=0.01,
    offset=0.8,
    clip_min=0.0,
    clip_max=1.0,
)

# gemelo-ai/vocos, the mel model with padding "center".
_VOCOS = MelSpec(
    sample_rate=24000,
    n_fft=1024,
    win_length=1024,
    hop_length=256,
    n_mels=100,
    mel_scale="htk",
    mel_norm="none",
    floor=1e-7,
)

# coqui-ai/TTS, AudioProcessor with the defaults of BaseAudioConfig, which its WaveGrad recipe
# inherits; a checkpoint's own config.json can say otherwise (its libri-tts one uses gain 1 and a
# statistics file). 20 log10 - 20 dB from -100..0 dB to -4..4.
_COQUI_WAVEGRAD = replace(
    _TACOTRON2,
    fmax=None,
    log="db",
    floor=1e-8,
    gain=0.08,
    offset=2.4,
    clip_min=-4.0,
    clip_max=4.0,
)

SPECS: dict[str, MelSpec] = {
    "wavegrad-paper": _WAVEGRAD_PAPER,
    "lmnt-wavegrad": _LMNT_WAVEGRAD,
    "lmnt-diffwave": _LMNT_DIFFWAVE,
    "ivanvovk-wavegrad": _IVANVOVK,
    "hifigan": _HIFIGAN,
    "tacotron2": _TACOTRON2,
    "waveglow": _TACOTRON2,
    "diffwave-paper": _TACOTRON2,
    "parallel-wavegan": _PARALLEL_WAVEGAN,
    "espnet2": _ESPNET2,
    "speecht5": _SPEECHT5,
    "nemo": _NEMO,
    "nemo-hifigan": _NEMO_HIFIGAN,
    "torchaudio-wavernn": _TORCHAUDIO_WAVERNN,
    "wavenet-vocoder": _WAVENET_VOCODER,
    "vocos": _VOCOS,
    "coqui-wavegrad": _COQUI_WAVEGRAD,
}


OWN = "own"  # the vocoder's

# Other values of one analysis: what changes in them, and in words.
VARIANTS = {
    "log=ln": "natural-log",
    "log=log10": "log10",
    "log=db": "dB",
    "log=none": "linear (no logarithm)",
    "log=db,gain=0.01,offset=0.8,clip_min=0,clip_max=1": "dB, scaled to 0..1",
    "log=db,gain=0.08,offset=2.4,clip_min=-4,clip_max=4": "dB, scaled to -4..4",
}
_UNCHANGED = {  # the values of a spec before anything is said of them
    **{"log": "ln", "floor": 1e-12, "floor_mode": "clip", "gain": 1.0, "offset": 0.0},
    **dict.fromkeys(("clip_min", "clip_max", "zero", "mean", "std")),
}


def changed(own: MelSpec, text: str) -> MelSpec:
    """`own`'s analysis with other values, of "log=log10" or "log=db,gain=0.01,offset=0.8".

    What is not said is plain: natural log, gain 1, offset 0, nothing clipped, no statistics.
    InputError for a key that is none of the values', and for what `MelSpec` does not take.
    """
    values: dict[str, object] = {}
    for part in text.split(","):
        key, _, value = part.strip().partition("=")
        if key not in _UNCHANGED or key in ("mean", "std"):
            keys = [name for name in _UNCHANGED if name not in ("mean", "std")]
            raise InputError(f"{part!r} in {text!r}: {nearest(key, keys)}")
        values[key] = value if key in ("log", "floor_mode") else _number(key, value)
    return replace(own, **(_UNCHANGED | values))


def squared(spec: MelSpec) -> MelSpec:
    """The same with bands of squares in place of magnitudes, or the other way round."""
    return replace(spec, power=2 if spec.power == 1 else 1)


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"mel.{key} is {text!r}; give a number") from None


def named(name: str) -> MelSpec:
    """Spec of another system; InputError with the nearest name for an unknown one."""
    if name not in SPECS:
        raise InputError(f"mel spec {name!r} is unknown; {nearest(name, SPECS)}")
    return SPECS[name]
