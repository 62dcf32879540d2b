"""`wg check-mel`: whether a foreign mel fits a vocoder, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from wg.commands.clips import read_array
from wg.commands.options import Options
from wg.data.audio import load_audio
from wg.errors import InputError
from wg.files import MODEL_FILES, check_file, write_json
from wg.inference.pretrained import DEFAULT
from wg.inference.vocoder import Vocoder
from wg.mel.convert import obstacles, refusal
from wg.mel.hub import SPECS
from wg.mel.recognise import likely, recognise
from wg.mel.regress import Fit, explain
from wg.mel.spec import MelSpec

OWN = "this vocoder's own"


def check_mel(arguments: Sequence[str]) -> None:
    """Says what the mel is and whether it fits; InputError where it does not."""
    options_parser = Options(prog="wg check-mel", allow_abbrev=False)
    options_parser.add_argument("mel", type=Path, help=".npy file [bands, frames]")
    options_parser.add_argument(
        "--vocoder", default=DEFAULT, help="folder, hub id or name [%(default)s]"
    )
    options_parser.add_argument("--wav", type=Path, help="the audio that the mel was made of")
    options_parser.add_argument("--save", type=Path, help="JSON to write the measured spec to")
    options = options_parser.parse_args(arguments)
    if options.save and not options.wav:
        raise InputError("--save: only audio tells the whole spec; give --wav as well")
    if options.save:
        inputs = [Path(options.vocoder) / name for name in MODEL_FILES]
        check_file(options.save, (".json",), [options.mel, options.wav, *inputs], "--save")
    wanted = Vocoder.from_pretrained(options.vocoder).mel_spec
    mel = read_array(options.mel)
    check_shape(options.mel, mel, wanted)
    low, middle, high = (float(value) for value in (mel.min(), mel.median(), mel.max()))
    print(
        f"{options.mel}: {mel.shape[0]} bands, {mel.shape[1]} frames, values {low:.3g} to "
        f"{high:.3g}, median {middle:.3g}"
    )
    specs = {**SPECS, OWN: wanted}
    if options.wav is None:
        by_values(mel, wanted, specs)
    else:
        fit = by_audio(options.mel, mel, options.wav, specs)
        if options.save:
            write_json(options.save, fit.spec.to_dict())
        verdict(fit, wanted, options.save)


def check_shape(path: Path, mel: Tensor, wanted: MelSpec) -> None:
    """InputError for what is no mel of the vocoder whatever its values mean."""
    bands = wanted.n_mels
    if mel.ndim != 2 or not mel.numel():
        raise InputError(f"{path}: mel of shape {list(mel.shape)}; give [{bands}, frames]")
    if not mel.isfinite().all():
        bad = mel.numel() - int(mel.isfinite().sum())
        raise InputError(f"{path}: {bad} values are NaN or infinite; look at what computed it")
    if mel.shape[0] != bands:
        turned = mel.shape[1] == bands
        remedy = "it is transposed: save mel.T" if turned else "no conversion changes the bands"
        raise InputError(f"{path}: {mel.shape[0]} bands, the vocoder takes {bands}; {remedy}")


def by_values(mel: Tensor, wanted: MelSpec, specs: dict[str, MelSpec]) -> None:
    """The verdict without audio: a guess."""
    guesses = likely(recognise(mel, specs))
    names = [guess.name for guess in guesses]
    if not names:
        raise InputError(
            "these values are of no convention that wg knows; give the audio with --wav, or read "
            "docs/mels.md"
        )
    print(f"by its values it could be: {', '.join(names)}")
    if OWN in names:
        print("the values fit this vocoder; only audio can tell bands and framing: give --wav")
        return
    able = [name for name in names if not obstacles(specs[name], wanted)]
    if able:
        print(f"fits after conversion, if it is {able[0]}: wg vocode --mel {able[0]}")
        return
    first = specs[names[0]]
    raise InputError(f"if it is {names[0]}, {refusal(first, wanted, obstacles(first, wanted))}")


def by_audio(path: Path, mel: Tensor, wav: Path, specs: dict[str, MelSpec]) -> Fit:
    """What the mel is, measured; InputError if no known analysis of the audio gives it."""
    try:
        found = soundfile.info(wav)
    except (soundfile.LibsndfileError, OSError) as error:
        raise InputError(f"--wav {wav}: not readable audio ({error})") from None
    if found.channels != 1:
        raise InputError(f"--wav {wav}: {found.channels} channels; mix down to one first")
    wave = torch.from_numpy(load_audio(wav, 0, found.frames))
    try:
        fit = explain(mel, wave, found.samplerate, specs)
    except InputError as error:
        raise InputError(f"{path}, --wav {wav}: {error}") from None
    if fit is None or not fit.good:
        best = "" if fit is None else f" (the best, {fit.name}, leaves {fit.residual:.2g} Np)"
        raise InputError(
            f"{path}: no analysis of {wav} that wg knows gives this mel{best}; was the audio "
            "normalised or resampled before it was made?"
        )
    return fit


def verdict(fit: Fit, wanted: MelSpec, saved: Path | None) -> None:
    """What a measured spec means for the vocoder."""
    different = fit.spec.differences(SPECS[fit.name]) if fit.name in SPECS else {}
    but = f", but for {', '.join(different)}" if different else ""
    print(f"measured: {fit.name}{but} (residual {fit.residual:.1e} Np)")
    if blocking := obstacles(fit.spec, wanted):
        raise InputError(refusal(fit.spec, wanted, blocking))
    if fit.spec.differences(wanted):
        name = saved or ("SPEC.json (write it with --save)" if but else fit.name)
        print(f"fits after conversion: wg vocode --mel {name}")
    else:
        print("fits as it is")
