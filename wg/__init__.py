"""Diffusion waveform models: recipes, benchmark and vocoders (see docs/architecture.md).

`from wg import Vocoder` loads it; `import wg` alone loads nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from wg.moved import Forwarding, renamed

if TYPE_CHECKING:
    from wg.inference.generator import Generator
    from wg.inference.model import SamplingConfig
    from wg.inference.text_to_speech import TextToSpeech, Voice
    from wg.inference.vocoder import Vocoder

__version__ = "0.1.0"
__all__ = ["Generator", "SamplingConfig", "TextToSpeech", "Vocoder", "Voice"]
_HOMES = {
    "Generator": "wg.inference.generator",
    "SamplingConfig": "wg.inference.model",
    "TextToSpeech": "wg.inference.text_to_speech",
    "Vocoder": "wg.inference.vocoder",
    "Voice": "wg.inference.text_to_speech",
}

sys.meta_path.insert(0, Forwarding())


def __getattr__(name: str) -> Any:
    """A class of `__all__`, imported when first asked for."""
    if name not in __all__:
        return renamed(__name__, name)
    return vars(importlib.import_module(_HOMES[name]))[name]
