"""What a vocoder's folder says of its past: how long it was trained, and schedules found for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from wg.diffusion.schedules import step_count


@dataclass(frozen=True)
class FoundSchedule:
    """A schedule that a search found for these weights: the default at its step count."""

    steps: int
    sampler: str
    levels: tuple[float, ...]
    metric: str
    score: float  # mean over held-out utterances
    before: float  # of the best schedule known before, named
    best_known: str


@dataclass(frozen=True)
class Start:
    """The model whose weights training began with."""

    source: str  # as `train.init_from` named it
    steps: int  # of its own training; 0: not known
    sha256: str  # of its weights' file


@dataclass(frozen=True)
class History:
    """How a model came to be: its training, and the schedules that were found for it."""

    steps: int = 0  # of training; 0: not known to be trained
    checkpoint: str = ""
    found: tuple[FoundSchedule, ...] = ()
    start: Start | None = None  # None: random weights

    def levels(self, schedule: object, sampler: str) -> tuple[float, ...] | None:
        """Levels found for a step count and a sampler, if any."""
        steps = step_count(schedule)
        for found in self.found:
            if found.steps == steps and found.sampler == sampler:
                return found.levels
        return None

    def with_found(self, new: FoundSchedule) -> History:
        """The same with one more, in place of one for the same steps and sampler."""
        key = (new.steps, new.sampler)
        kept = tuple(old for old in self.found if (old.steps, old.sampler) != key)
        return replace(self, found=(*kept, new))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> History:
        """Inverse of `to_dict`; TypeError or KeyError for what it did not write."""
        found = [
            FoundSchedule(**{**one, "levels": tuple(one["levels"])}) for one in content["found"]
        ]
        known = content["start"] if "start" in content else None
        start = None if known is None else Start(**known)
        return cls(content["steps"], content["checkpoint"], tuple(found), start)
