"""`wg import`: a checkpoint of another project as a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wg.commands.options import Options
from wg.diffusion.schedules import Schedule
from wg.errors import InputError
from wg.files import MODEL, check_folder, fresh_folder
from wg.inference.text_to_speech import TextToSpeech
from wg.inference.vocoder import Vocoder
from wg.interop.imported import FORMATS, read_foreign


def shown(schedule: Schedule) -> str:
    """A schedule in few words, and how to have fewer steps."""
    name = f"{len(schedule) - 1} levels of its own" if isinstance(schedule, tuple) else schedule
    return f"{name} (fewer steps: --steps 6, or an entry of docs/wavegrad.md)"


def import_model(arguments: Sequence[str]) -> None:
    """Reads, translates, writes the folder, and says what was left over."""
    options_parser = Options(prog="wg import", allow_abbrev=False)
    options_parser.add_argument("format", help=", ".join(FORMATS))
    options_parser.add_argument("file", type=Path, help="its checkpoint")
    options_parser.add_argument("-o", "--output", type=Path, required=True, help="new folder")
    options_parser.add_argument("--config", type=Path, help="the project's own config file")
    options_parser.add_argument(
        "--trust", action="store_true", help="unpickle anything in the file, code too"
    )
    options = options_parser.parse_args(arguments)
    if options.output.exists():
        raise InputError(f"-o {options.output}: exists already; give a new folder")
    if not options.output.parent.is_dir():
        raise InputError(f"-o {options.output}: no folder {options.output.parent}")
    check_folder(options.output, MODEL, [options.file], f"-o {options.output}")
    found = read_foreign(options.format, options.file, options.config, options.trust)
    try:
        made = found.build()
    except InputError as error:
        raise InputError(f"{options.file}: {error}") from None
    with fresh_folder(options.output, MODEL) as folder:
        made.save_pretrained(folder)
    facts = made.info()
    print(f"{options.output}: {facts['model']}, {facts['parameters']:,} parameters")
    if isinstance(made, Vocoder):
        print(f"mel: {found.mel.label}; all of it in {options.output / 'config.json'}")
    if isinstance(made, TextToSpeech):
        rate, speakers = found.mel.sample_rate, ", ".join(made.model.speakers[:8]) or "one"
        print(f"{rate} Hz, {len(made.model.symbols)} symbols; speakers: {speakers}")
        print(f'wg speak "Good morning." --model {options.output} -o out.wav')
    print(f"samples by default as its project does: {shown(found.synthesis.schedule)}")
    if found.guessed:
        guesses = "; ".join(f"{key} {value}" for key, value in found.guessed.items())
        print(f"guessed, as no file says it (--config FILE would): {guesses}")
    for note in found.notes:
        print(note)
    if found.unmapped:
        print(f"not used, {len(found.unmapped)}: {', '.join(found.unmapped)}")
