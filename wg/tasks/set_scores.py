"""Scores of a set of samples, by a classifier trained on the recordings they should resemble."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from wg.data.audio import read_mono
from wg.data.dump import Dump
from wg.errors import InputError
from wg.metrics import generation
from wg.tasks.context import Context, read_stamp
from wg.training.classifier import (
    ClassifierOutputs,
    Listener,
    check_length,
    classes_of,
    classify,
    labels_of,
    listener,
    supplied,
    trained,
)

NOISE_CLIPS = 200
NOT_DEFINED = {"mean": None, "median": None, "low": None, "high": None, "count": 0, "undefined": 0}


def compare(
    reference: tuple[ClassifierOutputs, np.ndarray],
    made: tuple[ClassifierOutputs, np.ndarray | None],
) -> dict[str, float]:
    """Set metrics of generated against training clips; by class where they have labels [N]."""
    (data, data_labels), (judged, labels) = reference, made
    values = {
        "fid": generation.frechet_distance(data.features, judged.features),
        "is": generation.inception_score(judged.posteriors),
        "mis": generation.modified_inception_score(judged.posteriors),
        "am": generation.am_score(data.posteriors, judged.posteriors),
        "ndb": generation.different_bins(data.features, judged.features),
    }
    if labels is None:
        return values
    by_class = generation.class_distances(
        (data.features, data_labels), (judged.features, labels)
    ).values()
    distances = np.array(list(by_class))
    return values | {
        "accuracy": generation.accuracy(judged.posteriors, labels),
        "fid_class": float(distances.mean()),
        "fid_class_std": float(distances.std()),
    }


def recordings(dump: Dump) -> torch.Tensor:
    """All clips [N, T] of a split; InputError unless they are of one length."""
    check_length(dump)
    return torch.stack([dump.audio(index) for index in range(len(dump))])


def decoded_audio(context: Context, names: Sequence[str], samples: int) -> torch.Tensor:
    """Generated clips [N, T]; InputError where their length is not the corpus's."""
    clips = []
    for name in names:
        audio, _ = read_mono(context.decoded / f"{name}.wav")
        if len(audio) != samples:
            raise InputError(
                f"{name}.wav: {len(audio)} samples, recordings have {samples}; set "
                "train.segment_samples to corpus.samples"
            )
        clips.append(torch.from_numpy(audio))
    return torch.stack(clips)


def noise_like(clips: torch.Tensor) -> torch.Tensor:
    """White noise as loud as each of the first clips [N, T]: a floor."""
    clips = clips[:NOISE_CLIPS]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(clips.shape, generator=generator) * clips.square().mean(1, True).sqrt()


def evaluate(context: Context, names: Sequence[str]) -> dict[str, Any]:
    """Content of scores.json for these clips; trains the classifier if need be."""
    train, test = Dump(context.dump / "train"), Dump(context.dump / "test")
    listen, classes = listener_of(context, train), classes_of(train)
    kinds = kinds_of(context, names)
    labels = None if kinds is None else np.array([classes.index(kind) for kind in kinds])
    made = classify(listen, decoded_audio(context, names, train.audio(0).shape[0]))
    audio = {"train": recordings(train), "test": recordings(test)}
    recorded = {
        name: (classify(listen, audio[name]), labels_of(dump, classes).numpy())
        for name, dump in {"train": train, "test": test}.items()
    }
    noise = classify(listen, noise_like(audio["test"]))
    own = {k: generation.accuracy(j.posteriors, true) for k, (j, true) in recorded.items()}
    print(
        f"classifier: {own['train']:.1%} right on {len(train)} training clips, "
        f"{own['test']:.1%} on {len(test)} test clips"
    )
    sets = {"wg": (made, labels), **recorded, "noise": (noise, None)}
    means = table(recorded["train"], sets)
    heard = {
        name: {"class": classes[int(row.argmax())], "probability": float(row.max())}
        for name, row in zip(names, made.posteriors, strict=True)
    }
    wanted = context.experiment.score
    about = {"supplied": wanted.classifier} if wanted.classifier else {}
    return {
        "means": means,
        "heard": heard,
        "classifier": {**(about or {"steps": wanted.classifier_steps}), **own},
    }


def table(
    data: tuple[ClassifierOutputs, np.ndarray],
    sets: Mapping[str, tuple[ClassifierOutputs, np.ndarray | None]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Set metrics of each system, in the form of means; those of "wg" are the columns.

    Each set is what the classifier says of its clips, and their labels [N].
    """
    by_class = sets["wg"][1] is not None
    values = {
        system: compare(data, (judged, labels if by_class else None))
        for system, (judged, labels) in sets.items()
    }
    return {
        system: {
            name: statistic(scores[name] if name in scores else None, len(sets[system][0].features))
            for name in values["wg"]
        }
        for system, scores in values.items()
    }


def kinds_of(context: Context, names: Sequence[str]) -> list[str] | None:
    """The classes of generated clips, where the model knows any."""
    made = [json.loads((context.decoded / f"{name}.json").read_text("utf-8")) for name in names]
    kinds = [item["class"] for item in made]
    return None if None in kinds else kinds


def statistic(value: float | None, count: int) -> dict[str, Any]:
    """A set's one value in the form of a mean over utterances: without interval."""
    undefined = value is None or math.isnan(value)
    return NOT_DEFINED if undefined else NOT_DEFINED | {"mean": value, "count": count}


def listener_of(context: Context, train: Dump) -> Listener:
    """The user's classifier, or the recipe's, kept beside the features it was trained on."""
    wanted = context.experiment.score
    if wanted.classifier:
        return supplied(wanted.classifier)(classes_of(train), train.spec.sample_rate)
    stamp = read_stamp(context.dump / "stage-features.json")
    assert stamp is not None
    device = torch.device("cuda" if context.devices.gpus else "cpu")
    path = context.dump / "classifier.safetensors"
    model = trained(path, train, wanted.classifier_steps, stamp["digest"], device)
    return listener(model, train.spec)
