"""What a task is: a kind of model, as the stages from phonemes on see it.

The stages have the loop over batches, the timer, the files, the folder and the page. A task says
what they cannot know: what to synthesise, from what, how to score it, what to show of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor

from wg.config import Experiment
from wg.data.dump import Dump
from wg.diffusion.plan import sampling_levels
from wg.errors import InputError
from wg.inference.checkpoint import model_from_checkpoint
from wg.inference.model import TrainedModel
from wg.metrics import check_metrics
from wg.models import conditions_of
from wg.report.page import PageContent
from wg.tasks.context import Context, features_of
from wg.tasks.waveforms import check_baselines

WARM_UP = 50  # frames


class Piece(NamedTuple):
    """A waveform [T] that was synthesised, and what its record says besides what all say."""

    wave: Tensor
    about: Mapping[str, Any] = {}


class Item(Protocol):
    """Something to synthesise: its id, which names its files, and the seed of its noise."""

    @property
    def id(self) -> str:
        """Names its wav and its record; unique in its set."""
        ...

    @property
    def seed(self) -> int:
        """Seed of its noise, see `wg.diffusion.noise.PositionalNoise`."""
        ...


Model = TypeVar("Model", bound=TrainedModel)
What = TypeVar("What", bound=Item)


class Task(ABC, Generic[Model, What]):
    """A kind of model; a run's context goes in, what its stages need comes out."""

    model: ClassVar[type[TrainedModel]]
    folder: ClassVar[str]  # below exp, of the packed model
    card: ClassVar[str]  # template in wg/report
    needs: ClassVar[tuple[str, ...]] = ()  # stages that training needs besides features
    noted: ClassVar[tuple[str, ...]] = ()  # keys of scores.json that the stamp keeps, too

    def resolved(self, context: Context) -> Context:
        """The run, with what only its features tell filled into its model's config."""
        return context

    def dump(self, context: Context, split: str) -> Dump:
        """The features of a split as training and synthesis read them; InputError for bad ones."""
        return features_of(context, split)

    def check_training(self, context: Context) -> None:
        """InputError for features that this model cannot be trained, decoded or scored on."""

    def check_stream(self, context: Context) -> None:
        """InputError unless the tars of `features.stream` tell all that training needs.

        What a text or a class needs besides is in the dump's folder and beside it.
        """
        model = context.experiment.model
        raise InputError(
            f"features.stream: tars are for models of mels, {model.name} here takes "
            f"{conditions_of(model)}; leave it empty to train from the dump"
        )

    def check_decode(self, context: Context) -> None:
        """InputError for a way to sample that the model does not have."""
        experiment = context.experiment
        decode = experiment.decode
        sampling_levels(decode.schedule, decode.sampler, experiment.diffusion)
        if decode.consistency is not None and decode.consistency.iterations:
            self.check_consistency(experiment)

    def check_consistency(self, experiment: Experiment) -> None:
        """InputError unless estimates can be made to agree with a mel."""
        consistency = experiment.decode.consistency
        assert consistency is not None
        raise InputError(
            f"consistency.iterations is {consistency.iterations}, but {experiment.model.name} is "
            "given no mel that estimates could agree with; set decode.consistency.iterations=0"
        )

    def check_score(self, context: Context) -> None:
        """InputError for an unknown metric, baseline or judge."""
        wanted = context.experiment.score
        check_metrics(wanted.metrics, "score.metrics")
        check_baselines(wanted.baselines)

    def load(self, checkpoint: Path, experiment: Experiment) -> TrainedModel:
        """The trained model in a checkpoint."""
        return model_from_checkpoint(self.model, checkpoint, experiment)

    @abstractmethod
    def items(self, context: Context) -> list[What]:
        """What stage decode synthesises, in order."""

    @abstractmethod
    def prepare(self, model: Model, items: Sequence[What]) -> Callable[[], list[Piece]]:
        """Reads what a batch is made from; what it gives back synthesises it, and is timed."""

    @abstractmethod
    def warm_up(self, model: Model, items: Sequence[What]) -> None:
        """Synthesises something short: the first call of a network is slower than the others."""

    @abstractmethod
    def measure(self, context: Context, names: Sequence[str]) -> Iterable[dict[str, Any]]:
        """What each of some decoded utterances tells by itself, for `score`; plain JSON."""

    @abstractmethod
    def score(self, context: Context, rows: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Content of scores.json for what was measured; `means` of system by metric is in it."""

    @abstractmethod
    def page(self, context: Context, scores: Mapping[str, Any]) -> PageContent:
        """Rows, and what is heard beside the model's own waveforms."""

    def facts(self, context: Context, scores: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the card's template knows besides what all cards say."""
        return {}
