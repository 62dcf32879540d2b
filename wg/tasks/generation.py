"""Models that take no mel: a set of samples of each class, judged as a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from wg.config import Experiment
from wg.data.splits import SPLITS
from wg.diffusion.noise import seed_of
from wg.errors import InputError
from wg.inference.checkpoint import model_from_checkpoint
from wg.inference.generator import Generator
from wg.models.network import ClassConfig
from wg.report.page import PageContent, PageRow
from wg.tasks.context import Context, features_of
from wg.tasks.set_scores import evaluate
from wg.tasks.task import WARM_UP, Piece, Task
from wg.training.classifier import labels_of, supplied

PAGE_ROWS = 30


@dataclass(frozen=True)
class Sample:
    """A clip to generate, of a class where the model knows any."""

    id: str
    seed: int
    kind: str | None


def known_classes(context: Context) -> tuple[str, ...]:
    """What a run's model generates clips of."""
    return cast("ClassConfig", context.experiment.model).classes


class GenerationTask(Task[Generator, Sample]):
    """Models that take no mel: waveforms from noise, of a class where the model has any."""

    model = Generator
    folder = "generator"
    card = "generator.md"
    noted = ("classifier",)

    def check_training(self, context: Context) -> None:
        """InputError unless each text is one of `model.classes`, and each of them is trained on."""
        classes = known_classes(context)
        if not classes:
            return
        for split in SPLITS:
            labels = labels_of(features_of(context, split), classes)
            absent = [name for label, name in enumerate(classes) if not (labels == label).any()]
            if split == "train" and absent:
                raise InputError(
                    f"model.classes: no training clips of {', '.join(absent)}; "
                    "add some, or leave the class out"
                )

    def check_decode(self, context: Context) -> None:
        """InputError, too, for a number of samples that cannot be shared or scored."""
        super().check_decode(context)
        self.items(context)

    def check_score(self, context: Context) -> None:
        """InputError, too, for a `score.classifier` that there is not."""
        super().check_score(context)
        if context.experiment.score.classifier:
            supplied(context.experiment.score.classifier)

    def load(self, checkpoint: Path, experiment: Experiment) -> Generator:
        """The generator in a checkpoint; it makes clips as long as its training segments."""
        samples = experiment.train.segment_samples
        return model_from_checkpoint(Generator, checkpoint, experiment, samples)

    def items(self, context: Context) -> list[Sample]:
        """`decode.generate` clips, the classes taken evenly."""
        decode, classes = context.experiment.decode, known_classes(context)
        count, kinds = decode.generate, classes or ("sample",)
        if count % len(kinds):
            near = max(2, round(count / len(kinds))) * len(kinds)
            raise InputError(
                f"decode.generate {count} does not divide by {len(kinds)} classes; use {near}"
            )
        if classes and count < 2 * len(classes):
            raise InputError(
                f"decode.generate {count} is one sample of each of {len(classes)} classes, too few "
                f"for fid_class; use {2 * len(classes)} or more"
            )
        names = [
            (f"{kind}-{number:05d}", kind if classes else None)
            for kind in kinds
            for number in range(1, count // len(kinds) + 1)
        ]
        return [Sample(name, seed_of(name, decode.seed), kind) for name, kind in names]

    def prepare(self, model: Generator, items: Sequence[Sample]) -> Callable[[], list[Piece]]:
        """A call makes a batch of clips, each with its class in its record."""
        seeds, classes = [item.seed for item in items], classes_of(items)

        def synthesise() -> list[Piece]:
            waves = model(seeds, classes)
            return [Piece(w, {"class": item.kind}) for w, item in zip(waves, items, strict=True)]

        return synthesise

    def warm_up(self, model: Generator, items: Sequence[Sample]) -> None:
        """Samples of `WARM_UP` frames, or the model's own length if that is less."""
        own = model.synthesis.samples
        assert own is not None
        short = replace(model.synthesis, samples=min(own, WARM_UP * model.mel_spec.hop_length))
        model([item.seed for item in items], classes_of(items), short)

    def measure(self, context: Context, names: Sequence[str]) -> list[dict[str, Any]]:
        """Nothing: samples are judged as a set."""
        return [{} for _ in names]

    def score(self, context: Context, rows: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Metrics of the set, by a classifier of the recordings."""
        return evaluate(context, list(rows))

    def page(self, context: Context, scores: Mapping[str, Any]) -> PageContent:
        """Samples spread over the set, and what the classifier takes them for."""
        heard = scores["heard"]
        names = list(heard)[:: max(1, len(heard) // PAGE_ROWS)][:PAGE_ROWS]
        return PageContent([row_of(name, heard[name]) for name in names], {})

    def facts(self, context: Context, scores: Mapping[str, Any]) -> Mapping[str, Any]:
        """The classifier, and how much it is worth."""
        return {"samples": len(scores["heard"]), "classifier": scores["classifier"]}


def classes_of(items: Sequence[Sample]) -> list[str] | None:
    """The class of each clip; None for a model without classes."""
    return [item.kind for item in items if item.kind is not None] or None


def row_of(name: str, heard: Mapping[str, Any]) -> PageRow:
    """A row of the listening page."""
    return PageRow(name, f"heard as {heard['class']} ({heard['probability']:.2f})", {"wg": {}})
