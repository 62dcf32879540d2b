"""What a model's network and its configuration supply; `wg.models.denoiser` calls the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from wg.mel.spec import MelSpec


class Network(nn.Module):
    """A network that estimates noise. Shapes: B batch, M mels, F frames, T = F * hop samples."""

    domain: str = "wave"  # "bins": of a spectrum that the mel has whitened

    def condition(self, batch: Mapping[str, Any]) -> Any:
        """Everything that does not depend on the noise level, computed once an utterance.

        From `batch["mel"]` [B, M, F] (or `batch["class"]` [B], symbols, or nothing) and, where
        some of it is padding, `batch["frames"]` [B].
        """
        raise NotImplementedError

    def predicted_mel(self, cond: Any) -> tuple[Tensor, Tensor] | None:
        """The mel [B, M, F] in a condition, and its frames [B] that are real; None: it has none."""
        return None

    def denoise(self, x: Tensor, *inputs: Any) -> Tensor:
        """Estimate of the noise in x [B, T]; `inputs`: (noise_input [B], cond).

        `noise_input` is a level or a fractional step, see `DiffusionConfig.network_input`. Of
        domain "bins": (y, log_snr, log_ratio, cond) -> F, see `wg.models.spectral`.
        """
        raise NotImplementedError


def zero(layer: nn.Module) -> None:
    """Weights and biases of a layer to 0, so that at first it adds nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class ModelConfig(Protocol):
    """A frozen dataclass of a model's sizes, with a default for each key.

    A model's own inherits from it, and says what is not as here.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """Its key in the registry."""
        ...

    @property
    def domain(self) -> str:
        """What it denoises: "wave", or "bins" that the mel has whitened."""
        return "wave"

    @property
    def gives_mel(self) -> bool:
        """Whether, given no mel, it predicts one that preconditioning and sampling can use."""
        return False

    @property
    def unread(self) -> tuple[str, ...]:
        """Keys that are known once the features are read."""
        return ()

    @property
    def decoder_config(self) -> ModelConfig | None:
        """Of the vocoder that is its decoder, whose weights that can begin with; None: none."""
        return None

    def check(self, mel: MelSpec) -> None:
        """InputError if the model cannot work with these features."""
        self.resolved(mel)

    def resolved(self, mel: MelSpec) -> ModelConfig:
        """With a value for what is left to be derived from the features."""
        return self


class ClassConfig(ModelConfig, Protocol):
    """Of a model that generates clips of a class, or from nothing."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by number; none: no classes."""
        ...

    def class_index(self, name: str) -> int:
        """Place of a class; InputError for a name that is none."""
        ...


class TextConfig(ModelConfig, Protocol):
    """Of a model that reads text."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names by id."""
        ...

    @property
    def boundaries(self) -> str:
        """Where words end: "marks", or "pauses" only."""
        ...

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names by number; none: one voice, or those of the training split, not read yet."""
        ...

    @property
    def speaker_channels(self) -> int:
        """Of the speaker's embedding; 0: speakers are not told."""
        ...

    @property
    def mel_blocks(self) -> int:
        """Over 0: it predicts mels, of whole utterances."""
        ...

    @property
    def pitch_weight(self) -> float:
        """Over 0: it predicts pitches, of whole utterances."""
        ...

    def speaker_index(self, name: str) -> int:
        """Place of a speaker; InputError for one that it does not know."""
        ...
