"""Stage 3, phonemes: text to phonemes and durations, for models that read text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wg.models import entry
from wg.stages.stage import Context, Stage


def run(context: Context) -> Mapping[str, Any]:
    """Says that the model reads no text; no registered model does yet."""
    name = context.experiment.model.name
    assert entry(name)
    print(f"{name} reads no text: nothing to do")
    return {}


STAGE = Stage(
    name="phonemes",
    summary="text to phonemes and durations (models that read text)",
    keys=("model.name",),
    needs=("prepare",),
    # Not below exp, which training moves aside when its settings change.
    output=lambda context: context.data / "phonemes" / context.experiment.model.name,
    run=run,
)
