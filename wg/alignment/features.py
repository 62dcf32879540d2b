"""What the aligner sees of a mel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_REACH = 2  # frames to either side of which the slope is the difference


def frame_features(mel: Tensor) -> Tensor:
    """Log-mel [M, T], each band with zero mean and unit variance, and its slope: [2 M, T].

    A channel or a voice that is the same for the whole utterance goes with the mean.
    """
    normal = (mel - mel.mean(1, keepdim=True)) / mel.std(1, keepdim=True).clamp_min(1e-3)
    wide = F.pad(normal[None], (_REACH, _REACH), mode="replicate")[0]
    return torch.cat([normal, wide[:, 2 * _REACH :] - wide[:, : -2 * _REACH]])
