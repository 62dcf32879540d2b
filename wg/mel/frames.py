"""Short-time Fourier frames that stand where a mel's frames stand, and the waveform back from them.

Silence lies outside of a waveform, so that its frames do not depend on what a batch pads it with.

Shapes: B batch, K = size // 2 + 1 bins, F frames, T = F * hop samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv_transpose1d, fold, pad

from wg.errors import InputError
from wg.mel.spec import MelSpec

OVERLAP = 4  # windows over each sample of `Frames.of`: Hann windows this close join without a seam
LEAST_COVER = 1e-2  # of the summed squared windows, where one edge alone sees a clip's end


@dataclass(frozen=True)
class Frames:
    """A Hann window every `hop` samples, in frame f centred where frame f of a mel is."""

    size: int  # samples of the transform
    window: int  # samples of the window, in the middle of them
    hop: int
    centred: bool = False  # on f * hop instead of (f + 1/2) * hop: MelSpec's framing `centre`
    periodic: bool = True

    @classmethod
    def of(cls, spec: MelSpec) -> Frames:
        """Windows of four hops, whatever the mel's own are: those divide any hop."""
        size = OVERLAP * spec.hop_length
        return cls(size, size, spec.hop_length, spec.framing == "centre")

    @classmethod
    def own(cls, spec: MelSpec) -> Frames:
        """The windows that the mel was computed with; InputError where they have no inverse."""
        if 2 * spec.hop_length > spec.win_length:
            raise InputError(
                f"mel.hop_length is {spec.hop_length}, over half of mel.win_length "
                f"({spec.win_length}): such windows leave gaps, and no waveform can be joined "
                "from them"
            )
        centred, periodic = spec.framing == "centre", spec.window == "hann_periodic"
        return cls(spec.n_fft, spec.win_length, spec.hop_length, centred, periodic)

    @property
    def bins(self) -> int:
        """Number of bins K."""
        return self.size // 2 + 1

    @property
    def before(self) -> int:
        """Samples of the first frame that lie before the waveform."""
        return self.size // 2 - (0 if self.centred else self.hop // 2)

    @property
    def after(self) -> int:
        """Samples of the last frame that lie after the waveform."""
        return self.size - self.hop - self.before

    @property
    def reach(self) -> int:
        """Frames to either side whose windows meet a frame's."""
        return -(-self.window // self.hop)

    def weights(self, like: Tensor) -> Tensor:
        """Window [size] of unit energy: white noise of variance 1 has bins of variance 1."""
        return window_of(self, like.dtype, like.device)

    def spectrum(self, x: Tensor) -> Tensor:
        """Complex bins [B, F, K] of waveforms [B, T]."""
        return torch.fft.rfft(self._cut(x))

    def wave(self, spectrum: Tensor, frames: Tensor | None = None) -> Tensor:
        """Waveforms [B, T] whose bins are nearest to complex ones [B, F, K], by least squares.

        Rows of which only `frames` [B] are real come out as they would alone, and 0 after.
        """
        return self._overlapped(torch.fft.irfft(spectrum, self.size), frames)

    def analyse(self, x: Tensor) -> Tensor:
        """Real bins [B, 2, K, F] of waveforms [B, T]: real parts, imaginary parts."""
        if torch.onnx.is_in_onnx_export():  # which knows no complex numbers
            padded = pad(x, (self.before, self.after))[:, None]
            both = conv1d(padded, self._waves(x), stride=self.hop)
            return both.unflatten(1, (2, self.bins))
        spectrum = self.spectrum(x)
        return torch.stack([spectrum.real, spectrum.imag], 1).transpose(2, 3)

    def synthesise(self, bins: Tensor, frames: Tensor | None = None) -> Tensor:
        """`wave` of real bins [B, 2, K, F]."""
        if torch.onnx.is_in_onnx_export():
            assert frames is None
            return self._joined(bins)
        real, imaginary = bins.transpose(2, 3).unbind(1)  # [B, F, K]
        return self.wave(torch.complex(real.contiguous(), imaginary.contiguous()), frames)

    def _cut(self, x: Tensor) -> Tensor:
        """Windowed samples [B, F, size]."""
        return pad(x, (self.before, self.after)).unfold(-1, self.size, self.hop) * self.weights(x)

    def _overlapped(self, cut: Tensor, frames: Tensor | None) -> Tensor:
        """[B, T] of samples [B, F, size], windowed once more and over the windows' sum."""
        if frames is None and not torch.compiler.is_exporting():
            cover = cover_of(self, cut.shape[1], cut.dtype, cut.device)
            return self._join(cut, self.weights(cut)) / cover
        real = torch.ones_like(cut[..., :1])
        if frames is not None:
            index = torch.arange(cut.shape[1], device=cut.device)
            real = (index < frames[:, None].to(cut.device))[..., None].to(cut)
        cover = self._cover(self.weights(cut), real)
        return self.kept(self._join(cut * real, self.weights(cut)) / cover, frames)

    def _cover(self, window: Tensor, real: Tensor) -> Tensor:
        """Sum [B, T] of the squared windows of real frames [B, F, 1], not below a hundredth."""
        floor = LEAST_COVER / self.hop  # it is 1 / hop on average
        return self._join(real.expand(-1, -1, self.size), window.square()).clamp(min=floor)

    def kept(self, x: Tensor, frames: Tensor | None) -> Tensor:
        """Waveforms [B, T] without what follows the first `frames` [B] frames of each."""
        if frames is None:
            return x
        place = torch.arange(x.shape[1], device=x.device)
        return x * (place < frames[:, None].to(x.device) * self.hop)

    def _join(self, cut: Tensor, window: Tensor) -> Tensor:
        """Sum [B, T] of [B, F, size], windowed, in their places."""
        batch, count, _ = cut.shape
        whole = (count - 1) * self.hop + self.size
        if self.size % self.hop:
            rows = (cut * window).transpose(1, 2)
            total = fold(rows, (1, whole), (1, self.size), stride=(1, self.hop))[:, 0, 0]
        else:  # several times as fast
            parts = cut.unflatten(-1, (-1, self.hop)).unbind(2)
            pieces = window.view(-1, self.hop)
            total = cut.new_zeros(batch, count + len(parts) - 1, self.hop)
            for i, (part, piece) in enumerate(zip(parts, pieces, strict=True)):
                total[:, i : i + count].addcmul_(part, piece)
            total = total.flatten(1)
        return total[:, self.before : self.before + count * self.hop]

    def _joined(self, bins: Tensor) -> Tensor:
        """As `synthesise` of frames that are all real, by transposed convolutions: few nodes."""
        weight = bins.new_full((self.bins, 1, 1), 2 / self.size)
        weight[0] = weight[-1] = 1 / self.size  # no mirror images
        both = bins.flatten(1, 2)
        total = conv_transpose1d(both, self._waves(bins) * weight.repeat(2, 1, 1), stride=self.hop)
        squares = self.weights(bins).square()[None, None]
        cover = conv_transpose1d(torch.ones_like(both[:1, :1]), squares, stride=self.hop)
        wave = total / cover.clamp(min=LEAST_COVER / self.hop)
        return wave[:, 0, self.before : self.before + bins.shape[3] * self.hop]

    def _waves(self, like: Tensor) -> Tensor:
        """Windowed cosines and negative sines [2 K, 1, size]: the transform as a convolution."""
        time, bins = torch.arange(self.size).double(), torch.arange(self.bins).double()
        angle = 2 * torch.pi / self.size * torch.outer(bins, time)
        return torch.cat([angle.cos(), -angle.sin()])[:, None].to(like) * self.weights(like)


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # a cached inference tensor could not take part in a later backward
def window_of(frames: Frames, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The window [size] of unit energy."""
    hann = torch.hann_window(frames.window, frames.periodic, dtype=torch.float64)
    left = (frames.size - frames.window) // 2
    whole = pad(hann, (left, frames.size - frames.window - left))
    return (whole / whole.square().sum().sqrt()).to(device, dtype)


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def cover_of(frames: Frames, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The cover [1, T] of so many frames."""
    window = window_of(frames, dtype, device)
    return frames._cover(window, torch.ones(1, count, 1, dtype=dtype, device=device))
