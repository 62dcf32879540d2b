"""The task of each kind of model."""

from __future__ import annotations

from typing import Any

from wg.inference.kinds import kind_of
from wg.tasks.context import Context
from wg.tasks.generation import GenerationTask
from wg.tasks.task import Task
from wg.tasks.text_to_speech import TextToSpeechTask
from wg.tasks.vocoder import VocoderTask

TASKS: dict[type, Task[Any, Any]] = {
    task.model: task for task in (VocoderTask(), TextToSpeechTask(), GenerationTask())
}


def task_of(context: Context) -> Task[Any, Any]:
    """The task of the model that a run trains."""
    return TASKS[kind_of(context.experiment.model)]
