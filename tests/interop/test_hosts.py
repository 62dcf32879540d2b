"""Adapters: the hosts' real packages where they are installed, their signatures where not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from host_calls import announce, direct, host_mel, vocoder_for
from tiny_vocoder import tiny_vocoder

from wg.diffusion.noise import PositionalNoise
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.interop.hosts import (
    CoquiVocoder,
    ESPnetVocoder,
    HiFiGANVocoder,
    HostVocoder,
    NeMoVocoder,
    ParallelWaveGANVocoder,
    SpeechBrainVocoder,
    TorchaudioVocoder,
    TransformersVocoder,
)
from wg.interop.imported import read_foreign
from wg.mel.extract import log_mel
from wg.mel.hub import named

SHAPES: dict[type[HostVocoder], tuple[Any, list[int]]] = {
    TransformersVocoder: (lambda a, mel: a(mel.transpose(1, 2)), [2, 1280]),
    ESPnetVocoder: (lambda a, mel: a(mel[0].T), [1280]),
    ParallelWaveGANVocoder: (lambda a, mel: a.inference(mel[0].T.numpy()), [1280, 1]),
    NeMoVocoder: (lambda a, mel: a.convert_spectrogram_to_audio(spec=mel), [2, 1280]),
    CoquiVocoder: (lambda a, mel: a.inference(mel), [2, 1, 1280]),
    HiFiGANVocoder: (lambda a, mel: a(mel), [2, 1, 1280]),
    TorchaudioVocoder: (lambda a, mel: a(mel, torch.tensor([5, 5]))[0], [2, 1280]),
    SpeechBrainVocoder: (lambda a, mel: a.decode_batch(mel), [2, 1, 1280]),
}


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)
def test_each_signature_converts_and_speaks(kind: type[HostVocoder]) -> None:
    adapter = kind(vocoder_for(kind.convention))
    call, shape = SHAPES[kind]
    mel = host_mel(adapter.mel)
    wave = call(adapter, mel)
    assert list(wave.shape) == shape
    expected = direct(adapter, mel)
    torch.testing.assert_close(
        wave.flatten(), expected.flatten()[: wave.numel()], atol=1e-4, rtol=0
    )
    assert adapter.sample_rate == adapter.mel.sample_rate


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)
def test_a_vocoder_of_other_mels_is_refused_before_it_speaks(kind: type[HostVocoder]) -> None:
    with pytest.raises(InputError, match="no exact conversion of this mel: .*n_mels") as caught:
        kind(tiny_vocoder())
    assert "> n_mels" in str(caught.value)


def test_a_difference_can_be_borne() -> None:
    vocoder = tiny_vocoder(mel=named("hifigan"))
    with pytest.raises(InputError, match="framing"):
        TorchaudioVocoder(vocoder)
    adapter = TorchaudioVocoder(vocoder, accept=("framing", "magnitude_eps"))
    wave, lengths = adapter(host_mel(adapter.mel), torch.tensor([5, 3]))
    assert lengths is not None and lengths.tolist() == [1280, 768]
    assert not wave[1, 768:].any() and wave[1, :768].any()


def test_parallel_wavegan_normalises_before_or_has_been_normalised() -> None:
    statistics = {"mean": (-2.0,) * 80, "std": (0.5,) * 80}
    plain = named("parallel-wavegan")
    spec = replace(plain, **statistics)
    adapter = ParallelWaveGANVocoder(vocoder_for("parallel-wavegan"), mel=spec)
    mel = host_mel(plain)[0].T
    before = adapter.inference(mel, normalize_before=True)
    after = adapter.inference((mel + 2.0) / 0.5)
    torch.testing.assert_close(before, after, atol=1e-4, rtol=0)
    expected = ParallelWaveGANVocoder(adapter.vocoder).inference(mel)
    torch.testing.assert_close(before, expected, atol=1e-4, rtol=0)


def test_hosts_find_what_they_ask_of_a_vocoder_beside_speech() -> None:
    assert ESPnetVocoder(vocoder_for("espnet2")).fs == 22050
    assert NeMoVocoder(vocoder_for("nemo")).device == torch.device("cpu")
    plain = ParallelWaveGANVocoder(vocoder_for("parallel-wavegan"))
    assert not hasattr(plain, "mean") and not hasattr(plain, "scale")
    spec = replace(plain.mel, mean=(-2.0,) * 80, std=(0.5,) * 80)
    normalising = ParallelWaveGANVocoder(plain.vocoder, mel=spec)
    assert normalising.mean.tolist() == [-2.0] * 80 and normalising.scale.tolist() == [0.5] * 80


def test_speechbrains_hop_has_to_be_the_vocoders() -> None:
    adapter = SpeechBrainVocoder(vocoder_for("tacotron2"))
    mel = host_mel(adapter.mel)
    wave = adapter.decode_batch(mel, mel_lens=[5, 2], hop_len=256)
    assert not wave[1, 0, 512:].any()
    with pytest.raises(InputError, match="hop_len is 300, but this vocoder's hop is 256"):
        adapter.decode_batch(mel, hop_len=300)


def test_a_host_that_moves_the_adapter_moves_the_vocoder() -> None:
    adapter = HiFiGANVocoder(vocoder_for("hifigan"))
    assert adapter.to(torch.bfloat16).vocoder.dtype == torch.bfloat16


def test_transformers_speecht5_speaks_through_it() -> None:
    transformers = pytest.importorskip("transformers", reason="pip install 'wg[hosts]'")
    config = transformers.SpeechT5Config(
        vocab_size=20,
        hidden_size=16,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        speech_decoder_prenet_units=16,
        speech_decoder_postnet_units=16,
        speaker_embedding_dim=8,
        positional_dropout=0.0,
    )
    torch.manual_seed(0)
    model = transformers.SpeechT5ForTextToSpeech(config).eval()
    adapter = TransformersVocoder(vocoder_for("speecht5"))
    inputs = {"input_ids": torch.tensor([[4, 5, 6]]), "speaker_embeddings": torch.randn(1, 8)}
    options: dict[str, Any] = {"minlenratio": 1.0, "maxlenratio": 2.0}
    torch.manual_seed(1)
    mel = model.generate_speech(**inputs, **options)
    torch.manual_seed(1)
    wave = model.generate_speech(**inputs, **options, vocoder=adapter)
    assert wave.shape == (len(mel) * 256,)
    torch.testing.assert_close(wave, direct(adapter, mel.T), atol=1e-3, rtol=0)
    announce("transformers", "SpeechT5ForTextToSpeech.generate_speech")


def test_transformers_fastspeech2_speaks_through_it() -> None:
    transformers = pytest.importorskip("transformers", reason="pip install 'wg[hosts]'")
    config = transformers.FastSpeech2ConformerConfig(
        vocab_size=20,
        hidden_size=16,
        encoder_layers=1,
        encoder_num_attention_heads=2,
        encoder_linear_units=16,
        decoder_layers=1,
        decoder_num_attention_heads=2,
        decoder_linear_units=16,
        speech_decoder_postnet_layers=2,
        speech_decoder_postnet_units=16,
        duration_predictor_channels=16,
        energy_predictor_channels=16,
        pitch_predictor_channels=16,
        pitch_predictor_layers=2,
    )
    both = transformers.FastSpeech2ConformerWithHifiGanConfig(
        model_config=config.to_dict(),
        vocoder_config={"upsample_initial_channel": 8, "model_in_dim": 80},
    )
    torch.manual_seed(0)
    model = transformers.FastSpeech2ConformerWithHifiGan(both).eval()
    model.model.duration_predictor.linear.bias.data.fill_(1.5)  # a few frames a phoneme
    adapter = model.vocoder = TransformersVocoder(vocoder_for("espnet2"), mel="espnet2")
    made = model(torch.tensor([[4, 5, 6, 7]]))
    frames = made.spectrogram.shape[1]
    assert frames > 0 and made.waveform.shape == (1, frames * 256)
    expected = direct(adapter, made.spectrogram.detach().transpose(1, 2))
    torch.testing.assert_close(made.waveform, expected, atol=1e-3, rtol=0)
    announce("transformers", "FastSpeech2ConformerWithHifiGan")


def test_torchaudios_tacotron2_speaks_through_it() -> None:
    from torchaudio.models import Tacotron2
    from torchaudio.pipelines import Tacotron2TTSBundle

    torch.manual_seed(0)
    tacotron2 = Tacotron2(
        n_symbol=20,
        symbol_embedding_dim=16,
        encoder_embedding_dim=16,
        attention_rnn_dim=16,
        attention_hidden_dim=16,
        decoder_rnn_dim=16,
        prenet_dim=16,
        postnet_embedding_dim=16,
        decoder_max_step=6,
    ).eval()
    tokens = torch.tensor([[3, 4, 5], [3, 4, 0]])
    with torch.inference_mode():
        mel, lengths, _ = tacotron2.infer(tokens, torch.tensor([3, 2]))
    adapter = TorchaudioVocoder(vocoder_for("tacotron2"))
    waves, samples = adapter(mel, lengths)
    assert samples is not None and samples.tolist() == (lengths * 256).tolist()
    torch.testing.assert_close(waves, direct(adapter, mel), atol=1e-3, rtol=0)
    abstract = {name for name in vars(Tacotron2TTSBundle.Vocoder) if not name.startswith("_")}
    assert abstract <= {*dir(adapter)}
    announce("torchaudio", "Tacotron2.infer, Tacotron2TTSBundle.Vocoder")


def test_speechbrains_tacotron2_speaks_through_it() -> None:
    pytest.importorskip("speechbrain", reason="pip install speechbrain", exc_type=ImportError)
    from inspect import signature

    from speechbrain.inference.vocoders import HIFIGAN  # pyright: ignore[reportMissingImports]
    from speechbrain.lobes.models.Tacotron2 import Tacotron2  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    model = Tacotron2(
        n_symbols=20,
        symbols_embedding_dim=16,
        encoder_embedding_dim=16,
        attention_rnn_dim=16,
        attention_dim=16,
        decoder_rnn_dim=16,
        prenet_dim=16,
        postnet_embedding_dim=16,
        max_decoder_steps=6,
        gate_threshold=1.0,  # never: it ends after 6
    ).eval()
    with torch.no_grad():
        mel, lengths, _ = model.infer(torch.tensor([[3, 4, 5]]), torch.tensor([3]))
    adapter = SpeechBrainVocoder(vocoder_for("tacotron2"))
    wave = adapter.decode_batch(mel, lengths, 256)
    torch.testing.assert_close(wave[:, 0], direct(adapter, mel), atol=1e-3, rtol=0)
    ours, theirs = (signature(kind.decode_batch) for kind in (SpeechBrainVocoder, HIFIGAN))
    assert list(ours.parameters) == list(theirs.parameters)
    announce("speechbrain", "Tacotron2.infer, signature of HIFIGAN.decode_batch")


def test_speechbrains_own_diffwave_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("speechbrain", reason="pip install speechbrain", exc_type=ImportError)
    from speechbrain.lobes.models.DiffWave import (  # pyright: ignore[reportMissingImports]
        DiffWave,
        DiffWaveDiffusion,
    )
    from speechbrain.lobes.models.HifiGAN import (  # pyright: ignore[reportMissingImports]
        mel_spectrogram,
    )

    torch.manual_seed(0)
    theirs = DiffWave(80, 12, 8, 10, 50).eval()  # 12 layers of 8 channels, dilations to 512
    torch.nn.init.normal_(theirs.output_projection.conv.weight)
    torch.save(theirs.state_dict(), tmp_path / "diffwave.ckpt")
    voc: Any = read_foreign("speechbrain-diffwave", tmp_path / "diffwave.ckpt").build()
    mel, x, step = torch.randn(2, 80, 6), torch.randn(2, 1536), torch.tensor([49, 3])
    with torch.inference_mode():
        expected = theirs(x[:, None], step, mel)[:, 0]
        got = voc.network.denoise(x, step + 1.0, voc.network.condition({"mel": mel}))
    print(f"eps agrees to {float((got - expected).abs().max()):.1e}")
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)

    loop = DiffWaveDiffusion(theirs, 50, beta_start=1e-4, beta_end=0.05)
    source = PositionalNoise([0])
    noises = iter([source(step, 1536) for step in (0, *range(50, 1, -1))])
    for name in ("randn", "randn_like"):
        monkeypatch.setattr(torch, name, lambda *_, **__: next(noises))
    audio = loop.inference(False, 256, mel[:1])
    monkeypatch.undo()
    ours = voc(mel[0], SamplingConfig("quantiles-50", clip="state"))
    torch.testing.assert_close(ours, audio[0], atol=1e-4, rtol=0)

    wave = 0.1 * torch.randn(1, 22050)
    settings = (22050, 256, 1024, 1024, 80, 0, 8000, 1, False, "slaney", "slaney", True)
    made = mel_spectrogram(*settings, wave)
    torch.testing.assert_close(log_mel(wave, voc.mel_spec), made, atol=1e-4, rtol=0)
    announce("speechbrain", "DiffWave, DiffWaveDiffusion.inference, mel_spectrogram")


def test_coquis_synthesizer_runs_it_as_its_vocoder() -> None:
    pytest.importorskip("TTS", reason="pip install coqui-tts[codec]", exc_type=ImportError)
    import numpy as np
    from TTS.config.shared_configs import BaseAudioConfig  # pyright: ignore[reportMissingImports]
    from TTS.utils.audio import AudioProcessor  # pyright: ignore[reportMissingImports]
    from TTS.utils.synthesizer import Synthesizer  # pyright: ignore[reportMissingImports]

    synthesizer = Synthesizer.__new__(Synthesizer)
    torch.nn.Module.__init__(synthesizer)
    audio = BaseAudioConfig(**COQUI_AUDIO)
    adapter = CoquiVocoder(vocoder_for("coqui-wavegrad"))
    parts: dict[str, Any] = {
        "tts_model": torch.nn.Identity(),
        "vocoder_ap": AudioProcessor(audio),
        "vocoder_config": {"audio": {"sample_rate": 22050}},
        "vocoder_model": adapter,
    }
    parts["tts_model"].ap = AudioProcessor(audio)
    for name, value in parts.items():
        setattr(synthesizer, name, value)
    tone = (0.3 * np.sin(np.arange(22050) * 0.2)).astype(np.float32)
    theirs = parts["vocoder_ap"].melspectrogram(tone)  # their own analysis, [M, F]
    wave = synthesizer._run_vocoder(torch.from_numpy(theirs.T), "cpu")
    own = named("coqui-wavegrad")
    mel = log_mel(torch.from_numpy(tone), own)
    torch.testing.assert_close(torch.from_numpy(theirs), mel, atol=1e-3, rtol=0)
    expected = direct(adapter, torch.from_numpy(theirs)[None])
    torch.testing.assert_close(wave[0], expected, atol=1e-2, rtol=0)
    announce("coqui-tts", "AudioProcessor, Synthesizer._run_vocoder")


COQUI_AUDIO = {
    "sample_rate": 22050,
    "fft_size": 1024,
    "win_length": 1024,
    "hop_length": 256,
    "num_mels": 80,
    "mel_fmin": 0.0,
    "mel_fmax": None,
}
