"""The dump: audio at the target rate and mels in shards that are read by slices, not whole.

A shard is one safetensors file: `audio` [samples of all its utterances], `mel` [frames of all,
M], and in its header the `MelSpec`, the utterances and a fingerprint of what made it. Audio is
fitted to frames * hop samples: zeros are added where framing yields a frame more, and less than
one hop is left out where it yields less.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from wg.errors import InputError
from wg.files import write_bytes
from wg.mel.spec import MelSpec


@dataclass(frozen=True)
class Utterance:
    """An entry of a shard's header."""

    id: str
    samples: int  # of the recording at the target rate
    frames: int
    text: str = ""
    speaker: str = ""


def fit(audio: Tensor, samples: int) -> Tensor:
    """Audio [T] with zeros added or its end left out, [samples]."""
    missing = samples - len(audio)
    return torch.nn.functional.pad(audio, (0, missing)) if missing > 0 else audio[:samples]


def write_shard(
    path: Path,
    utterances: list[tuple[Utterance, Tensor, Tensor]],
    spec: MelSpec,
    fingerprint: str,
) -> None:
    """One shard of (utterance, audio [T], mel [M, F])."""
    hop = spec.hop_length
    tensors = {
        "audio": torch.cat([fit(audio, entry.frames * hop) for entry, audio, _ in utterances]),
        "mel": torch.cat([mel.T for _, _, mel in utterances]).contiguous(),
    }
    header = {
        "spec": json.dumps(spec.to_dict()),
        "utterances": json.dumps([asdict(entry) for entry, _, _ in utterances]),
        "fingerprint": fingerprint,
    }
    write_bytes(path, save(tensors, metadata=header))


def shard_fingerprint(path: Path) -> str | None:
    """What made this shard; None where there is none, or a broken one."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("fingerprint")
    except (OSError, SafetensorError):
        return None


class Dump:
    """Read access to the shards of one split; slices are read from disk when asked for."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise InputError(f"{folder}: no features there; run stage 2 (features) first")
        self.folder = folder
        self.utterances: list[Utterance] = []
        self._places: list[tuple[Path, int]] = []  # shard, first frame in it
        self._open: dict[Path, safe_open] = {}
        specs = [self._read_header(path) for path in paths]
        if any(spec != specs[0] for spec in specs):
            raise InputError(f"{folder}: shards of different MelSpecs; delete it and run stage 2")
        self.spec = specs[0]

    def _read_header(self, path: Path) -> MelSpec:
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata() or {}
            entries = [Utterance(**entry) for entry in json.loads(header["utterances"])]
            spec = MelSpec.from_dict(json.loads(header["spec"]))
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a shard ({error}); delete it, run stage 2") from None
        frame = 0
        for entry in entries:
            self.utterances.append(entry)
            self._places.append((path, frame))
            frame += entry.frames
        return spec

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.utterances)

    def __getstate__(self) -> dict[str, object]:
        """Open files stay behind: each data loading process opens its own."""
        return {**vars(self), "_open": {}}

    def audio(self, index: int, frame: int = 0, frames: int | None = None) -> Tensor:
        """Samples of frames frame .. frame + frames, float32 [frames * hop]."""
        first, last = self._range(index, frame, frames)
        hop = self.spec.hop_length
        return self._shard(index).get_slice("audio")[first * hop : last * hop]

    def mel(self, index: int, frame: int = 0, frames: int | None = None) -> Tensor:
        """Mel frames, float32 [M, frames]."""
        first, last = self._range(index, frame, frames)
        return self._shard(index).get_slice("mel")[first:last].T

    def labels(self, index: int) -> dict[str, Tensor]:
        """What a model is told of an utterance besides its mel: here nothing."""
        return {}

    def recording(self, index: int) -> Tensor:
        """The utterance's audio without added zeros, [samples]."""
        return self.audio(index)[: self.utterances[index].samples]

    def _range(self, index: int, frame: int, frames: int | None) -> tuple[int, int]:
        total = self.utterances[index].frames
        last = total if frames is None else frame + frames
        assert 0 <= frame <= last <= total, f"frames {frame}..{last} of {total}"
        start = self._places[index][1]
        return start + frame, start + last

    def _shard(self, index: int) -> safe_open:
        path = self._places[index][0]
        if path not in self._open:
            self._open[path] = safe_open(path, "pt")
        return self._open[path]
