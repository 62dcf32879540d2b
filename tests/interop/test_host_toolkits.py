"""Adapters in ESPnet, ParallelWaveGAN, Matcha-TTS and NeMo; docs/hosts.md installs them."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from host_calls import announce, direct, host_mel, tone, vocoder_for
from torch import Tensor

from wg.interop.hosts import ESPnetVocoder, HiFiGANVocoder, NeMoVocoder, ParallelWaveGANVocoder
from wg.mel.extract import log_mel
from wg.mel.hub import named

# Matcha-TTS raises RuntimeError instead where espeak-ng is not installed.
needed = partial(pytest.importorskip, exc_type=ImportError)
RATE, HOP, BANDS = (
    getattr(named("espnet2"), name) for name in ("sample_rate", "hop_length", "n_mels")
)


def espnet_files(folder: Path) -> dict[str, str]:
    """Configuration and random weights of a small Tacotron 2, as its training leaves them."""
    from espnet2.tasks.tts import TTSTask  # pyright: ignore[reportMissingImports]

    rng = np.random.default_rng(0)
    features = rng.normal(-2.0, 0.5, (1000, BANDS))
    sums = {"sum": features.sum(0), "sum_square": (features**2).sum(0)}
    np.savez(folder / "stats.npz", count=1000, **sums)
    small = "embed_dim eunits econv_chans adim dunits prenet_units postnet_chans"
    config = {
        **TTSTask.get_default_config(),
        "token_list": ["<blank>", "<unk>", *"abcdefghij", "<space>", "<sos/eos>"],
        "token_type": "char",
        "normalize": "global_mvn",
        "normalize_conf": {"stats_file": str(folder / "stats.npz")},
        "tts_conf": dict.fromkeys(small.split(), 16),
    }
    config["feats_extract_conf"] = {"fs": RATE, "n_fft": 1024, "hop_length": HOP}
    plain = json.loads(json.dumps(config))  # no tuples: it is read by safe_load
    (folder / "config.yaml").write_text(yaml.dump(plain))
    torch.manual_seed(0)
    torch.save(TTSTask.build_model(Namespace(**config)).state_dict(), folder / "model.pth")
    return {"train_config": str(folder / "config.yaml"), "model_file": str(folder / "model.pth")}


def parallel_wavegan_files(folder: Path, mean: Tensor, scale: Tensor) -> Path:
    """Configuration, statistics and random weights of a small generator; the checkpoint."""
    from parallel_wavegan.models import ParallelWaveGANGenerator  # pyright: ignore

    size: dict[str, Any] = {"layers": 2, "stacks": 1, "residual_channels": 4, "gate_channels": 4}
    size |= {"skip_channels": 4, "aux_channels": BANDS, "in_channels": 1, "out_channels": 1}
    size["upsample_params"] = {"upsample_scales": [4, 4, 4, 4]}
    config = {"sampling_rate": RATE, "hop_size": HOP, "format": "npy", "generator_params": size}
    (folder / "config.yml").write_text(yaml.dump(config))
    np.save(folder / "stats.npy", np.stack([mean.numpy(), scale.numpy()]))
    weights = ParallelWaveGANGenerator(**size).state_dict()
    torch.save({"model": {"generator": weights}}, folder / "checkpoint.pkl")
    return folder / "checkpoint.pkl"


def test_espnets_text2speech_speaks_through_it(tmp_path: Path) -> None:
    inference = needed("espnet2.bin.tts_inference")
    text2speech = inference.Text2Speech(**espnet_files(tmp_path), maxlenratio=2.0)
    adapter = text2speech.vocoder = ESPnetVocoder(vocoder_for("espnet2"))
    made = text2speech("abc def")
    assert text2speech.fs == RATE
    assert made["wav"].shape == (len(made["feat_gen"]) * HOP,)
    assert not torch.equal(made["feat_gen"], made["feat_gen_denorm"])
    expected = direct(adapter, made["feat_gen_denorm"].T)
    torch.testing.assert_close(made["wav"], expected, atol=1e-3, rtol=0)
    announce("espnet", "Text2Speech with Tacotron2 and GlobalMVN")


def test_espnet_that_prefers_normalised_features_is_met_by_statistics(tmp_path: Path) -> None:
    inference = needed("espnet2.bin.tts_inference")
    text2speech = inference.Text2Speech(
        **espnet_files(tmp_path), maxlenratio=2.0, prefer_normalized_feats=True
    )
    mean, std = (getattr(text2speech.normalize, name).tolist() for name in ("mean", "std"))
    stats = replace(named("espnet2"), mean=tuple(mean), std=tuple(std))
    adapter = text2speech.vocoder = ESPnetVocoder(vocoder_for("espnet2"), mel=stats)
    made = text2speech("abc def")
    plain = ESPnetVocoder(adapter.vocoder)(made["feat_gen_denorm"])
    torch.testing.assert_close(made["wav"], plain, atol=1e-3, rtol=0)
    announce("espnet", "Text2Speech with prefer_normalized_feats")


def test_espnets_features_are_those_of_the_named_spec() -> None:
    extract = needed("espnet2.tts.feats_extract.log_mel_fbank").LogMelFbank
    settings = {"fs": RATE, "n_fft": 1024, "hop_length": HOP, "fmin": 80, "fmax": 7600}
    wave = tone(RATE)
    theirs, _ = extract(**settings)(wave[None])
    own = log_mel(wave, named("espnet2"))
    torch.testing.assert_close(theirs[0].T, own, atol=1e-4, rtol=0)
    announce("espnet", "LogMelFbank")


def test_parallel_wavegans_decode_speaks_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = needed("parallel_wavegan.bin.decode")
    import soundfile

    plain = named("parallel-wavegan")
    mean, scale = torch.full((BANDS,), -2.0), torch.linspace(0.3, 0.6, BANDS)
    checkpoint = parallel_wavegan_files(tmp_path, mean, scale)
    spec = replace(plain, mean=tuple(mean.tolist()), std=tuple(scale.tolist()))
    adapter = ParallelWaveGANVocoder(vocoder_for("parallel-wavegan"), mel=spec)
    mel = host_mel(plain)[0]
    np.save(tmp_path / "one-feats.npy", mel.T.numpy())
    monkeypatch.setattr(decode, "load_model", lambda checkpoint, config: adapter)
    options = {"--dumpdir": tmp_path, "--outdir": tmp_path / "out", "--checkpoint": checkpoint}
    words = [str(word) for pair in options.items() for word in pair]
    monkeypatch.setattr(sys, "argv", ["decode", *words, "--normalize-before"])
    decode.main()
    wave, rate = soundfile.read(tmp_path / "out" / "one_gen.wav", dtype="float32")
    assert rate == adapter.sample_rate
    expected = direct(ParallelWaveGANVocoder(adapter.vocoder), mel)
    torch.testing.assert_close(torch.from_numpy(wave), expected, atol=1e-3, rtol=0)
    announce("parallel_wavegan", "parallel-wavegan-decode --normalize-before")


def test_espnet_calls_it_in_the_place_of_a_parallel_wavegan(tmp_path: Path) -> None:
    inference = needed("espnet2.bin.tts_inference")
    needed("parallel_wavegan")
    files = espnet_files(tmp_path)
    mean, scale = torch.full((BANDS,), -2.0), torch.full((BANDS,), 0.5)
    vocoder = {"vocoder_file": str(parallel_wavegan_files(tmp_path, mean, scale))}
    vocoder["vocoder_config"] = str(tmp_path / "config.yml")
    text2speech = inference.Text2Speech(**files, **vocoder, maxlenratio=2.0)
    assert text2speech.vocoder.normalize_before
    own = text2speech.vocoder.vocoder = ParallelWaveGANVocoder(vocoder_for("parallel-wavegan"))
    made = text2speech("abc def")
    expected = direct(own, made["feat_gen_denorm"].T)
    torch.testing.assert_close(made["wav"], expected, atol=1e-3, rtol=0)
    announce("parallel_wavegan", "ESPnet's ParallelWaveGANPretrainedVocoder")


def test_parallel_wavegans_features_are_those_of_the_named_spec() -> None:
    preprocess = needed("parallel_wavegan.bin.preprocess")
    wave = tone(RATE)
    theirs = preprocess.logmelfilterbank(wave.numpy(), RATE, hop_size=HOP, fmin=80, fmax=7600)
    own = log_mel(wave, named("parallel-wavegan"))
    torch.testing.assert_close(torch.from_numpy(theirs.T), own, atol=1e-4, rtol=0)
    announce("parallel_wavegan", "logmelfilterbank")


def matcha_model() -> Any:
    """A small random MatchaTTS that says every symbol for some frames."""
    from matcha.models.matcha_tts import MatchaTTS  # pyright: ignore[reportMissingImports]
    from matcha.text.symbols import symbols  # pyright: ignore[reportMissingImports]

    encoder = {"n_feats": BANDS, "n_channels": 16, "filter_channels": 16, "n_heads": 2}
    encoder |= {"n_layers": 1, "kernel_size": 3, "p_dropout": 0.1, "prenet": True}
    duration = {"filter_channels_dp": 16, "kernel_size": 3, "p_dropout": 0.1}
    decoder = {"channels": [16, 16], "attention_head_dim": 8, "num_heads": 1, "act_fn": "snakebeta"}
    torch.manual_seed(0)
    model = MatchaTTS(
        n_vocab=len(symbols),
        n_spks=1,
        spk_emb_dim=8,
        n_feats=BANDS,
        encoder=Namespace(
            encoder_type="RoPE Encoder",
            encoder_params=Namespace(**encoder),
            duration_predictor_params=Namespace(**duration),
        ),
        decoder=decoder,
        cfm=Namespace(solver="euler", sigma_min=1e-4),
        data_statistics={"mel_mean": -5.5, "mel_std": 2.1},
        out_size=None,
    )
    return model.eval()


def test_matchas_cli_speaks_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where it draws its picture
    try:
        cli = needed("matcha.cli")
    except RuntimeError as error:
        pytest.skip(f"docs/hosts.md: {error}")
    import soundfile

    adapter = HiFiGANVocoder(vocoder_for("hifigan"))
    settings = {"output_folder": tmp_path, "steps": 2, "temperature": 0.667, "speaking_rate": 1.0}
    args = Namespace(**settings, spk=None, denoiser_strength=0.0)
    model = matcha_model()
    cli.unbatched_synthesis(args, torch.device("cpu"), model, adapter, None, ["Hello."], None)
    wave, rate = soundfile.read(tmp_path / "utterance_001.wav", dtype="float32")
    assert rate == adapter.sample_rate
    mel = torch.from_numpy(np.load(tmp_path / "utterance_001.npy"))
    assert mel.shape[0] == 1 and mel.shape[2] > 1
    expected = direct(adapter, mel)[0].clamp(-1, 1)
    torch.testing.assert_close(torch.from_numpy(wave), expected, atol=1e-3, rtol=0)
    announce("matcha-tts", "matcha.cli.unbatched_synthesis: MatchaTTS.synthesise, to_waveform")


def test_matchas_features_are_those_of_the_named_spec() -> None:
    extract = needed("matcha.utils.audio").mel_spectrogram
    spec, wave = named("hifigan"), tone(RATE // HOP * HOP)
    theirs = extract(wave[None], 1024, BANDS, RATE, HOP, 1024, 0, 8000)
    torch.testing.assert_close(theirs[0], log_mel(wave, spec), atol=1e-4, rtol=0)
    announce("matcha-tts", "mel_spectrogram")


def fastpitch() -> Any:
    """A small random FastPitchModel that says every token for some frames."""
    from nemo.collections.tts.models import FastPitchModel  # pyright: ignore
    from omegaconf import OmegaConf

    modules = "nemo.collections.tts.modules"
    size = {"n_layer": 1, "n_head": 1, "d_model": 16, "d_head": 16, "d_inner": 16}
    size |= {"kernel_size": 3, "dropout": 0.1, "dropatt": 0.1, "dropemb": 0.0}
    vocabulary = {"d_embed": 16, "n_embed": 20, "padding_idx": 0}
    predictor = {"input_size": 16, "kernel_size": 3, "filter_size": 16, "n_layers": 1}
    predictor |= {"_target_": f"{modules}.fastpitch.TemporalPredictor", "dropout": 0.1}
    config = {
        "n_mel_channels": BANDS,
        "symbols_embedding_dim": 16,
        "pitch_embedding_kernel_size": 3,
        "max_token_duration": 75,
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
            **NEMO_FEATURES,
        },
        "input_fft": {"_target_": f"{modules}.transformer.FFTransformerEncoder"},
        "output_fft": {"_target_": f"{modules}.transformer.FFTransformerDecoder", **size},
        "duration_predictor": predictor,
        "pitch_predictor": predictor,
    }
    config["input_fft"] |= vocabulary | size
    torch.manual_seed(0)
    model = FastPitchModel(OmegaConf.create(config)).eval()
    model.fastpitch.duration_predictor.fc.bias.data.fill_(1.5)
    return model


# FastPitch v1.05's settings; dither is noise, which only training wants.
NEMO_FEATURES: dict[str, Any] = {
    "sample_rate": RATE,
    "features": BANDS,
    "lowfreq": 0,
    "highfreq": 8000,
    "n_fft": 1024,
    "n_window_size": 1024,
    "window_size": False,
    "n_window_stride": HOP,
    "window_stride": False,
    "pad_to": 1,
    "normalize": None,
    "preemph": None,
    "dither": 0.0,
    "log_zero_guard_type": "add",
    "log_zero_guard_value": 1e-5,
    "mag_power": 1.0,
}


def test_nemos_fastpitch_speaks_through_it() -> None:
    needed("nemo.collections.tts.models")
    model, adapter = fastpitch(), NeMoVocoder(vocoder_for("nemo"))
    spec = model.generate_spectrogram(tokens=torch.tensor([[3, 4, 5, 6]]))
    wave = adapter.convert_spectrogram_to_audio(spec=spec)
    assert wave.shape == (1, spec.shape[2] * HOP)
    torch.testing.assert_close(wave, direct(adapter, spec.detach()), atol=1e-3, rtol=0)
    announce("nemo_toolkit", "FastPitchModel.generate_spectrogram")


def test_nemos_logging_of_speech_calls_it() -> None:
    callbacks = needed("nemo.collections.tts.parts.utils.callbacks")
    model, adapter = fastpitch(), NeMoVocoder(vocoder_for("nemo"))
    logged = callbacks.FastPitchArtifactGenerator()
    logged.vocoder, logged.log_audio = adapter, True
    text = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 0]])
    batch = {"text": text, "text_lens": torch.tensor([4, 3])}
    batch |= {"dataset_names": ["a", "a"], "audio_filepaths": [Path("x.wav"), Path("y.wav")]}
    audio, _ = logged.generate_artifacts(model, batch)
    mel, frames, *_ = model(text=text, input_lens=batch["text_lens"], speaker=None)
    expected = direct(adapter, mel.detach())
    assert frames[0] > frames[1]
    for made, wave, length in zip(audio, expected, frames, strict=True):
        assert made.sample_rate == RATE
        own = wave[: int(length) * HOP]
        torch.testing.assert_close(torch.from_numpy(made.data), own, atol=1e-3, rtol=0)
    announce("nemo_toolkit", "FastPitchArtifactGenerator.generate_artifacts")


def test_nemos_features_are_those_of_the_named_spec() -> None:
    modules = needed("nemo.collections.asr.modules")
    wave = tone(RATE)
    extract = modules.AudioToMelSpectrogramPreprocessor(**NEMO_FEATURES).eval()
    theirs, frames = extract(input_signal=wave[None], length=torch.tensor([RATE]))
    own = log_mel(wave, named("nemo"))
    inside = slice(2, int(frames) - 2)  # at the ends this version has zeros, others reflect
    torch.testing.assert_close(theirs[0, :, inside], own[:, inside], atol=1e-4, rtol=0)
    announce("nemo_toolkit", "AudioToMelSpectrogramPreprocessor")
