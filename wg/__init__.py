"""Diffusion waveform models: recipes, benchmark and vocoders (see docs/architecture.md).

`from wg import Vocoder` loads it; `import wg` alone loads nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wg.generator import Generator
    from wg.speech import TextToSpeech
    from wg.vocoder import Vocoder

__version__ = "0.1.0"
__all__ = ["Generator", "TextToSpeech", "Vocoder"]
_HOMES = {"Generator": "wg.generator", "TextToSpeech": "wg.speech", "Vocoder": "wg.vocoder"}


def __getattr__(name: str) -> Any:
    """A class of `__all__`, imported when first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'wg' has no attribute {name!r}")
    return vars(importlib.import_module(_HOMES[name]))[name]
