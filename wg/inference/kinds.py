"""Which class serves a model: asked here, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from wg.inference.generator import Generator
from wg.inference.model import model_parts
from wg.inference.text_to_speech import TextToSpeech
from wg.inference.vocoder import Vocoder
from wg.models import conditions_of
from wg.models.network import ModelConfig

KINDS = (Vocoder, TextToSpeech, Generator)


def kind_of(model: ModelConfig) -> type[Vocoder] | type[TextToSpeech] | type[Generator]:
    """The class for a model of this config: what takes a mel, reads text, or generates."""
    conditions = conditions_of(model)
    return next(kind for kind in KINDS if conditions in kind.takes)


def load_trained(source: Path | str) -> Vocoder | TextToSpeech | Generator:
    """The model of a folder, of a shipped name or of a hub id, as what its config says it is."""
    parts = model_parts(source)
    return kind_of(parts.model)(*parts)
