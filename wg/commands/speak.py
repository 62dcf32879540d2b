"""`wg speak`: a text, or a file of them, through a trained model that reads text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from wg.commands.clips import write_clip
from wg.commands.options import FORCE, Options
from wg.commands.sampling import add_device, add_sampling, chosen, placed
from wg.errors import InputError, stage_label
from wg.files import MODEL_FILES, check_file, check_names, own
from wg.inference.text_to_speech import TextToSpeech, Voice
from wg.text.lexicon import read_lexicon

_NAMED = 5  # blank lines spelt out in the notice


def parser() -> Options:
    """Command-line options of `wg speak`."""
    options = Options(prog="wg speak", allow_abbrev=False)
    options.add_argument("text", nargs="?", help="English text; {HH AH0 L OW1}: phonemes")
    options.add_argument("--file", type=Path, help="texts instead, one a line; blank ones not")
    options.add_argument(
        "-o", "--output", type=Path, required=True, help="16-bit wav; with --file, a folder"
    )
    options.add_argument(
        "--model", required=True, help=f"speech folder of {stage_label('pack')}, or hub id"
    )
    options.add_argument("--speaker", help="of a model that knows several")
    options.add_argument("--pace", type=float, default=1.0, help="1.2: a fifth faster [1]")
    options.add_argument("--pitch", type=float, default=1.0, help="1.2: a fifth higher [1]")
    options.add_argument("--lexicon", type=Path, help="lines of a word and its phonemes")
    add_sampling(options)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--batch-size", type=int, default=8, help="sentences at a time [8]")
    add_device(options)
    options.add_argument("--force", action="store_true", help=FORCE)
    return options


def check(options: argparse.Namespace) -> None:
    """InputError for options that contradict each other, or an output with no place to go."""
    if (options.text is None) == (options.file is None):
        raise InputError("give either a text or --file")
    if options.batch_size < 1:
        raise InputError(f"--batch-size {options.batch_size}: give at least 1")
    if options.file is None:
        inputs = [Path(options.model) / name for name in MODEL_FILES]
        check_file(options.output, (".wav",), [*inputs, *filter(None, [options.lexicon])], "-o")


def read_texts(path: Path) -> dict[int, str]:
    """Lines of a UTF-8 file by number, which a line feed ends and nothing else; blank ones not."""
    try:
        lines = path.read_text("utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--file {path}: not readable as UTF-8 text ({error})") from None
    texts = {number: line for number, line in enumerate(lines, 1) if line.strip()}
    if not texts:
        raise InputError(f"--file {path}: is empty; write a text on each line")
    if len(texts) < len(lines):
        blank = [str(number) for number in range(1, len(lines) + 1) if number not in texts]
        shown = ", ".join(blank[:_NAMED]) + (", ..." if len(blank) > _NAMED else "")
        print(f"{path}: blank lines skipped: {shown}")
    return texts


def file_of(number: int) -> str:
    """Name of the wav of a line."""
    return f"line-{number:05d}.wav"


def speak(arguments: Sequence[str]) -> None:
    """Reads, speaks, writes: `wg speak "Good morning." --model DIR -o OUT.wav`."""
    options = parser().parse_args(arguments)
    check(options)
    texts = {1: options.text} if options.file is None else read_texts(options.file)
    files = [file_of(number) for number in texts]
    if options.file is not None:
        inputs = list(filter(None, [options.file, options.lexicon]))
        check_names(options.output, files, inputs, options.force)
    model = placed(TextToSpeech.from_pretrained(options.model), options)
    if options.lexicon is not None:
        model.lexicon = read_lexicon(options.lexicon)
    synthesis, _ = chosen(model, options)
    voice = Voice(options.speaker, options.pace, options.seed, options.pitch)
    for number, text in texts.items():  # all of them, before the work begins
        try:
            model.sentences(text, voice)
        except InputError as error:
            where = "" if options.file is None else f"{options.file}:{number}: "
            raise InputError(f"{where}{error}") from None
    if options.file is not None:
        own(options.output, files)
    waves = model.read_each(list(texts.values()), voice, synthesis, options.batch_size)
    for file, wave in zip(files, waves, strict=True):
        path = options.output if options.file is None else options.output / file
        write_clip(path, wave, model.mel_spec.sample_rate)
