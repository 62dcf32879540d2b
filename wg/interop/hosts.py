"""A trained vocoder in the place of a host's own: one class a call signature.

`SpeechT5Vocoder(voc)` goes where Transformers expects a HiFi-GAN, and so on. Each takes the mels
that the host's acoustic models make (`mel`: a named spec, or a MelSpec with the statistics of a
checkpoint) and converts them to the vocoder's own. Where no conversion exists it is refused when
the adapter is made, not when it speaks.

Shapes: B batch, M bands, F frames, T = F * hop samples.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.mel.hub import named
from wg.mel.spec import MelSpec, obstacles, refusal


class HostVocoder(nn.Module):
    """What all adapters share; a host that moves it to a device or dtype moves the vocoder."""

    convention = "tacotron2"  # of the host's mels, unless `mel` says otherwise

    def __init__(
        self,
        vocoder: Vocoder,
        mel: MelSpec | str | None = None,
        accept: Collection[str] = (),
        synthesis: SamplingConfig | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = vocoder.network
        self.vocoder = vocoder
        self.mel = mel if isinstance(mel, MelSpec) else named(mel or self.convention)
        self.accept, self.synthesis, self.seed = tuple(accept), synthesis, seed
        if blocking := obstacles(self.mel, vocoder.mel_spec, accept):
            raise InputError(refusal(self.mel, vocoder.mel_spec, blocking))

    @property
    def sample_rate(self) -> int:
        """Of the waveforms, in Hz."""
        return self.vocoder.mel_spec.sample_rate

    def speak(self, mel: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Waveform [T] of the host's mel [M, F], or [B, T] of [B, M, F], on the mel's device."""
        converted = self.mel.convert(mel.detach(), self.vocoder.mel_spec, self.accept)
        wave = self.vocoder(converted, self.synthesis, seed=self.seed, lengths=lengths)
        return wave.to(mel.device)


class TransformersVocoder(HostVocoder):
    """`model.generate_speech(..., vocoder=TransformersVocoder(voc))`, and SpeechT5's `generate`.

    Also `FastSpeech2ConformerWithHifiGan`: `model.vocoder = TransformersVocoder(voc, mel)`.
    """

    convention = "speecht5"

    def forward(self, spectrogram: Tensor) -> Tensor:
        """[F, M] -> [T], or [B, F, M] -> [B, T]."""
        return self.speak(spectrogram.transpose(-1, -2))


class ESPnetVocoder(TransformersVocoder):
    """`text2speech.vocoder = ESPnetVocoder(voc)` on an ESPnet2 Text2Speech.

    It hands over denormalised features [F, M] unless it prefers normalised ones: then give their
    statistics in `mel`.
    """

    convention = "espnet2"

    @property
    def fs(self) -> int:
        """What `Text2Speech.fs` reads: of the waveforms, in Hz."""
        return self.sample_rate


class ParallelWaveGANVocoder(HostVocoder):
    """Has the `inference` of a ParallelWaveGAN generator."""

    convention = "parallel-wavegan"

    @property
    def mean(self) -> Tensor:
        """Of `mel`'s statistics, [M]; AttributeError without, which hosts ask with hasattr."""
        return self._statistic("mean", self.mel.mean)

    @property
    def scale(self) -> Tensor:
        """The deviation of `mel`'s statistics, [M]; AttributeError without."""
        return self._statistic("scale", self.mel.std)

    def _statistic(self, name: str, values: tuple[float, ...] | None) -> Tensor:
        if values is None:
            raise AttributeError(f"{name}: this adapter's mel has no statistics")
        return torch.tensor(values)

    def remove_weight_norm(self) -> None:
        """Leave the vocoder as it is; its decoding program calls this on every generator."""

    def inference(
        self, c: Tensor | np.ndarray, x: Tensor | None = None, normalize_before: bool = False
    ) -> Tensor:
        """[F, M] -> [T, 1]. With `normalize_before` the mel is one before statistics."""
        given = torch.as_tensor(c, dtype=torch.float32)
        if normalize_before and self.mel.mean is not None:
            given = (given - self.mean.to(given.device)) / self.scale.to(given.device)
        return self.speak(given.T)[:, None]


class NeMoVocoder(HostVocoder):
    """`convert_spectrogram_to_audio` of a NeMo vocoder."""

    convention = "nemo"

    @property
    def device(self) -> torch.device:
        """Where NeMo's callbacks put the mel."""
        return self.vocoder.device

    def convert_spectrogram_to_audio(self, spec: Tensor) -> Tensor:
        """[B, M, F] -> [B, T]."""
        return self.speak(spec)


class CoquiVocoder(HostVocoder):
    """`synthesizer.vocoder_model = CoquiVocoder(voc, mel)` on a coqui Synthesizer.

    `mel` is what its `vocoder_ap` makes, so set that as well: see docs/hosts.md.
    """

    convention = "coqui-wavegrad"

    def inference(self, c: Tensor) -> Tensor:
        """[B, M, F] -> [B, 1, T]."""
        return self.speak(c)[:, None]


class HiFiGANVocoder(HostVocoder):
    """Called as the HiFi-GAN generator of Matcha-TTS and many others."""

    convention = "hifigan"

    def forward(self, x: Tensor) -> Tensor:
        """[B, M, F] -> [B, 1, T]."""
        return self.speak(x)[:, None]


class TorchaudioVocoder(HostVocoder):
    """The vocoder of a torchaudio Tacotron 2 pipeline; its mels of the Griffin-Lim bundles."""

    convention = "tacotron2"

    def forward(
        self, specgram: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """[B, M, F], [B] frames -> [B, T], [B] samples."""
        wave = self.speak(specgram, lengths)
        return wave, None if lengths is None else lengths * self.vocoder.mel_spec.hop_length


class SpeechBrainVocoder(HostVocoder):
    """`decode_batch` of SpeechBrain's vocoders; the mels of its LJSpeech recipes."""

    convention = "tacotron2"

    def decode_batch(
        self, spectrogram: Tensor, mel_lens: Any = None, hop_len: int | None = None
    ) -> Tensor:
        """[B, M, F] -> [B, 1, T]; `mel_lens` in frames, `hop_len` is the vocoder's own."""
        if hop_len is not None and hop_len != self.vocoder.mel_spec.hop_length:
            hop = self.vocoder.mel_spec.hop_length
            raise InputError(f"hop_len is {hop_len}, but this vocoder's hop is {hop}")
        lengths = None if mel_lens is None else torch.as_tensor(mel_lens)
        return self.speak(spectrogram, lengths)[:, None]
