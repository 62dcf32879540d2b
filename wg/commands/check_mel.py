"""`wg check-mel`: what a foreign mel is, whether it fits a vocoder, and how to make it fit."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from wg.commands.clips import read_array, read_audio, read_clip
from wg.commands.options import Options
from wg.errors import InputError
from wg.files import MODEL_FILES, check_file, write_json
from wg.inference.pretrained import DEFAULT
from wg.inference.vocoder import Vocoder
from wg.mel.hub import OWN, SPECS, VARIANTS, changed
from wg.mel.recognise import BY_BAND, FEWEST, NORMALISED, likely, readings, recognise, title
from wg.mel.regress import Fit, explain
from wg.mel.spec import ACCEPTABLE, MelSpec, obstacles, refusal

TURN = "python -c 'import numpy, sys; a, b = sys.argv[1:]; numpy.save(b, numpy.load(a).T)'"


def check_mel(arguments: Sequence[str]) -> None:
    """Says what the mel is and whether it fits; InputError where it does not."""
    options = parser().parse_args(arguments)
    if options.save and not options.wav:
        raise InputError("--save: only audio tells the whole spec; give --wav as well")
    if options.save:
        inputs = [Path(options.vocoder) / name for name in MODEL_FILES]
        check_file(options.save, (".json",), [options.mel, options.wav, *inputs], "--save")
    wanted = Vocoder.from_pretrained(options.vocoder).mel_spec
    obstacles(wanted, wanted, options.accept)
    mel = read_mel(options.mel, wanted)
    low, middle, high = (float(value) for value in (mel.min(), mel.median(), mel.max()))
    print(
        f"{options.mel}: {mel.shape[0]} bands, {mel.shape[1]} frames, "
        f"values {low:.3g} to {high:.3g}, median {middle:.3g}"
    )
    if options.wav is None:
        by_values(mel, wanted, options)
    else:
        verdict(by_audio(mel, wanted, options), wanted, options)


def parser() -> Options:
    """Command-line options of `wg check-mel`."""
    options = Options(prog="wg check-mel", allow_abbrev=False)
    options.add_argument("mel", type=Path, help=".npy file [bands, frames]")
    options.add_argument("--vocoder", default=DEFAULT, help="folder, hub id or name [%(default)s]")
    options.add_argument("--wav", type=Path, help="the audio that the mel was made of")
    options.add_argument(
        "--accept",
        nargs="+",
        default=[],
        choices=list(ACCEPTABLE),
        metavar="FIELD",
        help=f"differences to bear: {', '.join(ACCEPTABLE)} (docs/mels.md)",
    )
    options.add_argument(
        "--save", type=Path, help="JSON to write the measured spec to, for wg vocode --mel"
    )
    return options


def read_mel(path: Path, wanted: MelSpec) -> Tensor:
    """The mel [M, F] of a file, turned if need be, saying so; InputError for what can be none."""
    mel = read_array(path)
    bands = wanted.n_mels
    if mel.ndim == 3 and len(mel) == 1:
        mel = mel[0]
    if mel.ndim != 2 or not mel.numel():
        raise InputError(f"{path}: mel of shape {list(mel.shape)}; give [{bands}, frames]")
    if not mel.isfinite().all():
        bad = mel.numel() - int(mel.isfinite().sum())
        raise InputError(f"{path}: {bad} values are NaN or infinite; look at what computed it")
    if len(mel) != bands and mel.shape[1] == bands:
        print(f"{path} is transposed, [frames, bands]; wg vocode takes what this makes:")
        print(f"  {TURN} {shlex.quote(str(path))} TURNED.npy")
        mel = mel.T
    if len(mel) != bands:
        raise InputError(
            f"{path}: {len(mel)} bands, the vocoder takes {bands}; no conversion changes the bands"
        )
    if mel.shape[1] < FEWEST:
        raise InputError(
            f"{path}: {mel.shape[1]} frames; of fewer than {FEWEST} nothing can be told"
        )
    if mel.min() == mel.max():
        raise InputError(f"{path}: every value is {float(mel[0, 0]):g}; look at what computed it")
    return mel


def by_values(mel: Tensor, wanted: MelSpec, options: argparse.Namespace) -> None:
    """The verdict on a mel [M, F] without audio: a guess at log and scaling, not at the bands."""
    specs = {**readings(wanted), **SPECS}
    found = [guess.name for guess in likely(recognise(mel, specs))]
    blocking = {name: obstacles(specs[name], wanted, options.accept) for name in found}
    lost = {name for name in found[1:] if name in (NORMALISED, BY_BAND)}  # no guess that helps
    names = sorted(found, key=lambda name: bool(blocking[name]) or name in lost)
    if not names:
        raise InputError(
            "these values are of no convention that wg knows; give the audio with --wav, or read "
            "docs/mels.md"
        )
    name = OWN if OWN in names else names[0]
    print(f"by its values: {described(name, wanted)}{alike(name, names, specs)}")
    if name in (NORMALISED, BY_BAND):
        raise InputError(
            "normalised with statistics that the values do not tell; give the audio of this clip "
            "with --wav, which measures them, or write mean and std of the training set into a "
            "JSON spec (docs/mels.md)"
        )
    if blocking[name]:
        raise InputError(f"if it is {title(name)}, {refusal(specs[name], wanted, blocking[name])}")
    if name == OWN:
        print("it fits as it is, if its bands and frames are this vocoder's too")
    else:
        print("it fits after conversion, if its bands and frames are this vocoder's:")
        say_command(name, options)
    print("only the audio of this clip can tell that: give --wav")


def described(name: str, wanted: MelSpec) -> str:
    """What messages call a way to read the mel: the name of a convention in words."""
    if name == OWN:
        same = [known for known, spec in SPECS.items() if spec == wanted]
        return f"this vocoder's own{f' ({same[0]})' if same else ''}"
    return f"{title(name)}, of this vocoder's bands" if name in VARIANTS else title(name)


def alike(name: str, names: Sequence[str], specs: dict[str, MelSpec]) -> str:
    """Systems whose values are like these too."""
    others = [other for other in names if other in SPECS and specs[other] != specs[name]]
    return f" (or {', '.join(sorted(others))})" if others else ""


def say_command(mel: str, options: argparse.Namespace) -> None:
    """Prints the `wg vocode` command that converts a mel of this name."""
    words = ["wg", "vocode", options.mel, "-o", options.mel.with_suffix(".wav").name, "--mel", mel]
    words += ["--vocoder", options.vocoder] if options.vocoder != DEFAULT else []
    words += ["--accept", *options.accept] if options.accept else []
    print(f"  {shlex.join(map(str, words))}")


def by_audio(mel: Tensor, wanted: MelSpec, options: argparse.Namespace) -> Fit:
    """What a mel [M, F] is, measured; InputError if no known analysis of the audio gives it."""
    wave, rate = read_audio(options.wav)
    try:
        fit = explain(mel, wave, rate, SPECS | {OWN: wanted}, wanted)
        if (fit is None or not fit.good) and rate != wanted.sample_rate:
            wave, rate = read_clip(options.wav, wanted.sample_rate), wanted.sample_rate
            fit = explain(mel, wave, rate, SPECS | {OWN: wanted}, wanted) or fit
    except InputError as error:
        raise InputError(f"{options.mel}, --wav {options.wav}: {error}") from None
    if fit is not None and fit.good:
        return fit
    frames = wanted.frames(len(wave))
    if abs(frames - mel.shape[1]) > 1:
        why = (
            f"the vocoder's mel of it would have {frames} frames, this one has {mel.shape[1]}: of "
            "another clip, trimmed, or of another hop?"
        )
    else:
        why = "of another clip, or was the audio changed before the mel was made?"
    raise InputError(f"{options.mel}: no analysis of {options.wav} that wg knows gives it; {why}")


def verdict(fit: Fit, wanted: MelSpec, options: argparse.Namespace) -> None:
    """What a measured spec means for the vocoder."""
    blocking = obstacles(fit.spec, wanted, options.accept)
    if blocking:
        different = fit.spec.differences(SPECS[fit.name]) if fit.name in SPECS else {}
        but = f", but for {', '.join(different)}" if different else ""
        print(f"measured: {fit.name}{but} (residual {fit.residual:.1e} Np)")
        raise InputError(refusal(fit.spec, wanted, blocking))
    bearing = f", bearing {', '.join(options.accept)}" if options.accept else ""
    if not fit.spec.differences(wanted):
        louder = f", of audio {8.686 * fit.turned_up:+.1f} dB" if abs(fit.turned_up) > 0.01 else ""
        print(f"measured: {described(OWN, wanted)}{louder} (residual {fit.residual:.1e} Np)")
        print(f"it fits as it is{bearing}")
    else:
        name = reading(fit.spec, wanted)
        print(f"measured: {named_reading(name, fit.spec, wanted)} (residual {fit.residual:.1e} Np)")
        print(f"it fits after conversion{bearing}:")
        say_command(str(options.save or name or "SPEC.json"), options)
        if not (options.save or name):
            print("  where --save SPEC.json of this command writes that file")
    if options.save:
        write_json(options.save, fit.spec.to_dict())


def reading(spec: MelSpec, wanted: MelSpec) -> str | None:
    """What `--mel` calls it: a named spec, or values in place of the own ones; None: a file."""
    for name, known in SPECS.items():
        if replace(spec, floor=known.floor, floor_mode=known.floor_mode) == known:
            return name
    for name in VARIANTS:
        if not set(spec.differences(changed(wanted, name))) - {"floor", "clip_min", "clip_max"}:
            return name
    if spec.mean or spec.zero is not None or spec.floor_mode == "add" or spec.clip_min is not None:
        return None
    text = f"log={spec.log},gain={spec.gain:.6g},offset={spec.offset:.6g}"
    return text if not obstacles(changed(wanted, text), wanted) else None


def named_reading(name: str | None, spec: MelSpec, wanted: MelSpec) -> str:
    """A measured spec in words."""
    if name in SPECS:
        return name
    if name in VARIANTS:
        return described(name, wanted)
    scaled = "normalised band by band" if spec.mean else "scaled as a whole"
    return f"this vocoder's bands, {scaled}"
