"""Scores of a set of samples, by a classifier trained on the recordings they should resemble."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import soundfile
import torch

from wg.data.dump import Dump, write_bytes
from wg.errors import InputError
from wg.mel.extract import log_mel
from wg.metrics import generation
from wg.report.table import print_scores
from wg.stages.stage import Context, read_stamp
from wg.training.classifier import (
    Classifier,
    Judged,
    classes_of,
    judge,
    labels_of,
    mels_of,
    trained,
)

NOISE_CLIPS = 200
NOT_DEFINED = {"mean": None, "median": None, "low": None, "high": None, "count": 0, "undefined": 0}


def compare(
    reference: tuple[Judged, np.ndarray], made: tuple[Judged, np.ndarray | None]
) -> dict[str, float]:
    """Set metrics of generated clips against training clips; by class where they have labels."""
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


def decoded_mels(context: Context, names: list[str], dump: Dump) -> torch.Tensor:
    """Mels [N, M, F] of generated clips; InputError where their length is not the corpus's."""
    frames, mels = dump.utterances[0].frames, []
    for name in names:
        audio, _ = soundfile.read(context.decoded / f"{name}.wav", dtype="float32")
        mels.append(log_mel(torch.from_numpy(audio), dump.spec))
        if mels[-1].shape[1] != frames:
            raise InputError(
                f"{name}.wav: {mels[-1].shape[1]} frames, recordings have {frames}; set "
                "train.segment_samples to corpus.samples"
            )
    return torch.stack(mels)


def noise_mels(dump: Dump) -> torch.Tensor:
    """Mels of white noise as loud as each recording: a floor."""
    mels = []
    for index in range(min(NOISE_CLIPS, len(dump))):
        recording = dump.recording(index)
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(len(recording), generator=generator)
        mels.append(log_mel(noise * recording.square().mean().sqrt(), dump.spec))
    return torch.stack(mels)


def evaluate(context: Context) -> Mapping[str, Any]:
    """Stage 6 of sets: trains the classifier if need be, writes scores.json, prints the table."""
    train, test = Dump(context.dump / "train"), Dump(context.dump / "test")
    model, classes = classifier_of(context, train), classes_of(train)
    names, kinds = decoded_clips(context)
    labels = None if kinds is None else np.array([classes.index(kind) for kind in kinds])
    made = judge(model, decoded_mels(context, names, train))
    recorded = {
        name: (judge(model, mels_of(dump)), labels_of(dump, classes).numpy())
        for name, dump in {"train": train, "test": test}.items()
    }
    noise = judge(model, noise_mels(test))
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
    steps = context.experiment.score.classifier_steps
    content = {"means": means, "heard": heard, "classifier": {"steps": steps, **own}}
    write_bytes(context.decoded / "scores.json", (json.dumps(content, indent=1) + "\n").encode())
    print_scores(means)
    return {"means": means["wg"], "classifier": content["classifier"]}


def table(
    data: tuple[Judged, np.ndarray], sets: Mapping[str, tuple[Judged, np.ndarray | None]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Set metrics of each system, in the form of means; those of "wg" are the columns."""
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


def decoded_clips(context: Context) -> tuple[list[str], list[str] | None]:
    """Ids of the generated clips, and their classes where the model knows any."""
    stamp = read_stamp(context.decoded / "stage-decode.json")
    assert stamp is not None
    names = stamp["result"]["utterances"]
    made = [json.loads((context.decoded / f"{name}.json").read_text("utf-8")) for name in names]
    kinds = [item["class"] for item in made]
    return names, None if None in kinds else kinds


def statistic(value: float | None, count: int) -> dict[str, Any]:
    """A set's one value in the form of a mean over utterances: without interval."""
    return NOT_DEFINED if value is None else NOT_DEFINED | {"mean": value, "count": count}


def classifier_of(context: Context, train: Dump) -> Classifier:
    """The recipe's classifier, kept beside the features it was trained on."""
    stamp = read_stamp(context.dump / "stage-features.json")
    assert stamp is not None
    device = torch.device("cuda" if context.devices.gpus else "cpu")
    steps = context.experiment.score.classifier_steps
    return trained(context.dump / "classifier.safetensors", train, steps, stamp["digest"], device)
