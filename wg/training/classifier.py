"""A small classifier of clips by their text, for scoring models that take no mel.

It is an instrument, not a model of a recipe: a plain loop on one device, the same weights for
the same dump and step count, and small enough to train on a CPU. `supplied` loads another one.

Shapes: N or B clips, T samples, M mels, F frames, K classes, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from wg.data.dump import Dump
from wg.errors import InputError
from wg.files import write_bytes
from wg.mel.extract import log_mel
from wg.mel.spec import MelSpec
from wg.plugin import function_named

# Audio [B, T] -> features [B, D] and logits [B, K].
Listener = Callable[[Tensor], tuple[Tensor, Tensor]]

WIDTHS = (16, 32, 64, 96)
BATCH = 32
RATE = 3e-3
SHIFT = 10  # frames, of clips in training
MASK = 10  # at most, frames and bands


class Classifier(nn.Module):
    """Log-mel [B, M, F] -> features [B, 96] and logits [B, K]: four convolutions and a mean."""

    mean: Tensor  # of training mels, [M, 1]
    std: Tensor

    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(bands, 1))
        self.register_buffer("std", torch.ones(bands, 1))
        blocks = []
        for c_in, c_out in zip((1, *WIDTHS), WIDTHS, strict=False):
            blocks += [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out)]
            blocks += [nn.ReLU(), nn.MaxPool2d(2)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(WIDTHS[-1], classes)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """(features [B, 96], logits [B, K]) of a log-mel [B, M, F], which is normalised first."""
        normal = (mel - self.mean) / self.std
        features = self.blocks(normal[:, None]).mean((2, 3))
        return features, self.head(F.dropout(features, 0.3, self.training))


@dataclass(frozen=True)
class ClassifierOutputs:
    """What a classifier says of a set of clips."""

    features: np.ndarray  # [N, D]
    posteriors: np.ndarray  # [N, K]


def labels_of(dump: Dump, classes: tuple[str, ...]) -> Tensor:
    """Label [N] of each utterance's text; InputError for one that is no class."""
    for entry in dump.utterances:
        if entry.text not in classes:
            raise InputError(
                f"{dump.folder}, {entry.id}: text {entry.text!r} is none of the classes "
                f"{', '.join(classes)}; take the clip out, or name the class (model.classes)"
            )
    return torch.tensor([classes.index(entry.text) for entry in dump.utterances])


def classes_of(dump: Dump) -> tuple[str, ...]:
    """The texts of a dump, sorted; InputError where they are no classes."""
    texts = sorted({entry.text for entry in dump.utterances})
    if len(texts) < 2 or len(texts) > len(dump) // 2:
        raise InputError(
            f"{dump.folder}: {len(texts)} different texts in {len(dump)} utterances are no "
            "classes; samples are scored against clips of single words, as in recipes/sc09"
        )
    return tuple(texts)


def check_length(dump: Dump) -> None:
    """InputError unless all clips are of one length (`corpus.samples`)."""
    if len({entry.frames for entry in dump.utterances}) > 1:
        raise InputError(f"{dump.folder}: clips of different lengths; set corpus.samples")


def augmented(mel: Tensor, silence: Tensor, generator: torch.Generator) -> Tensor:
    """Mels [B, M, F] shifted in time by up to 10 frames, with a band and a span masked."""
    shift, band, frame = torch.randint(0, 2 * SHIFT + 1, (3, len(mel)), generator=generator)
    size = torch.randint(0, MASK + 1, (2, len(mel)), generator=generator)
    bands, frames = mel.shape[1], mel.shape[2]
    made = silence[None, :, None].repeat(len(mel), 1, frames + 2 * SHIFT)
    for row in range(len(mel)):
        made[row, :, shift[row] : shift[row] + frames] = mel[row]
        low = int(band[row]) * (bands - MASK) // (2 * SHIFT)
        made[row, low : low + int(size[0, row])] = silence[low : low + int(size[0, row]), None]
        start = SHIFT + int(frame[row]) * (frames - MASK) // (2 * SHIFT)
        made[row, :, start : start + int(size[1, row])] = silence[:, None]
    return made[:, :, SHIFT : SHIFT + frames]


def train(dump: Dump, classes: tuple[str, ...], steps: int, device: torch.device) -> Classifier:
    """A classifier after `steps` batches, with AdamW and one cycle of the learning rate."""
    check_length(dump)
    mels = torch.stack([dump.mel(index) for index in range(len(dump))])
    labels = labels_of(dump, classes)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = Classifier(mels.shape[1], len(classes)).to(device)
    model.mean.copy_(mels.mean((0, 2))[:, None])
    model.std.copy_(mels.std((0, 2))[:, None].clamp_min(1e-3))
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    order = torch.empty(0, dtype=torch.long)
    for step in range(1, steps + 1):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(mels), generator=generator)])
        chosen, order = order[:BATCH], order[BATCH:]
        batch = augmented(mels[chosen], dump.spec.silence, generator).to(device)
        loss = F.cross_entropy(model(batch)[1], labels[chosen].to(device), label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rates.step()
        if step % max(1, steps // 5) == 0:
            print(f"classifier step {step}/{steps}  loss {loss.item():.3f}", flush=True)
    return model.eval()


def listener(model: Classifier, spec: MelSpec) -> Listener:
    """The classifier as a function of audio."""
    device = model.head.weight.device
    return lambda audio: model(log_mel(audio, spec).to(device))


def supplied(reference: str) -> Callable[[tuple[str, ...], int], Listener]:
    """The user's factory of a classifier, `module:factory`: (classes, sample rate) -> Listener."""
    return function_named(reference, "score.classifier")


@torch.inference_mode()
def classify(listen: Listener, clips: Tensor) -> ClassifierOutputs:
    """Features and posteriors of clips [N, T]."""
    made = [listen(batch) for batch in clips.split(256)]
    features = torch.cat([features for features, _ in made]).float().cpu().numpy()
    posteriors = torch.cat([logits for _, logits in made]).double().softmax(1).cpu().numpy()
    return ClassifierOutputs(features, posteriors)


def trained(path: Path, dump: Dump, steps: int, made_of: str, device: torch.device) -> Classifier:
    """The classifier at `path`, trained first where there is none made of the same features."""
    classes = classes_of(dump)
    fingerprint = f"{made_of} {steps} {' '.join(classes)}"
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("fingerprint") == fingerprint:
                model = Classifier(dump.spec.n_mels, len(classes))
                model.load_state_dict({key: file.get_tensor(key) for key in file.keys()})
                return model.eval().to(device)
    except (OSError, SafetensorError):
        pass  # none there yet, or a broken one
    model = train(dump, classes, steps, device)
    state = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
    write_bytes(path, save(state, metadata={"fingerprint": fingerprint}))
    return model
