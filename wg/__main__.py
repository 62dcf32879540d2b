"""Command line: `wg COMMAND ...`."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import warnings
from typing import TextIO

from wg import __version__
from wg.errors import InputError, InputWarning, PartlyDone, Stopped, nearest

# Command -> module:function and what it does. Only the chosen one is imported.
COMMANDS: dict[str, tuple[str, str]] = {
    "recipe": ("wg.commands.recipe:recipe", "stages of a recipe (recipes/<corpus>/run.sh)"),
    "stage": ("wg.commands.recipe:stage", "one stage of a recipe, whether needed or not"),
    "tars": ("wg.commands.tars:tars", "training features as tars, for an object store"),
    "vocode": ("wg.commands.vocode:vocode", "audio or a mel through a trained vocoder"),
    "import": ("wg.commands.import_model:import_model", "another project's checkpoint"),
    "check-mel": ("wg.commands.check_mel:check_mel", "whether a foreign mel fits a vocoder"),
    "export": ("wg.commands.export:export", "a vocoder as an ONNX or torch.export graph"),
    "demo": ("wg.commands.demo:demo", "a page in the browser to try a model on"),
    "speak": ("wg.commands.speak:speak", "a text through a model that reads text"),
    "schedule": ("wg.commands.schedule:schedule", "search for a schedule of few steps"),
    "sample": ("wg.commands.generate:sample", "clips from a model that takes no mel"),
    "denoise": ("wg.commands.generate:denoise", "a noisy clip through such a model"),
    "interpolate": ("wg.commands.generate:interpolate", "a clip between two, by such a model"),
    "score": ("wg.commands.score:score", "folders of audio against recordings; a model's bound"),
    "bench": ("wg.commands.bench:bench", "vocoders side by side; latency of streaming"),
    "listen": ("wg.commands.listen:listen", "listening pages, and what listeners said"),
    "egs": ("wg.commands.egs:egs", "the catalogue of experiments, egs.yaml"),
}

UNREACHABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP)
UNREACHABLE += (errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EIO, errno.ESTALE, errno.EBUSY)
UNREACHABLE += (errno.EMFILE, errno.ENFILE, errno.ENOTEMPTY, errno.ENXIO, errno.ENODEV)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room for a file


def usage() -> str:
    """What `wg --help` prints: how to call it, and a line a command."""
    lines = [f"  {name:11} {summary}" for name, (_, summary) in COMMANDS.items()]
    first = [f"wg {__version__}", "usage: wg COMMAND ...; wg COMMAND --help", *lines]
    other = "where wg is WireGuard's: wg-speech COMMAND ..., or python -m wg COMMAND ..."
    return "\n".join([*first, other])


def run(arguments: list[str]) -> None:
    """Imports and calls the command."""
    if arguments[0] not in COMMANDS:
        raise InputError(f"command {arguments[0]!r} is unknown; {nearest(arguments[0], COMMANDS)}")
    module, function = COMMANDS[arguments[0]][0].split(":")
    vars(importlib.import_module(module))[function](arguments[1:])


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning of wg on one line; others as Python shows them."""
    if issubclass(category, InputWarning):
        print(f"wg: warning: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno, line), file=sys.stderr)


def main() -> int:
    """`outcome`, and no word where nobody reads the output any more (`wg --help | head -1`)."""
    try:
        status = outcome()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is not out yet
        return 128 + signal.SIGPIPE
    return status


def outcome() -> int:
    """Runs a command; a user's mistake is one line and exit status 2, 1 where the rest is done."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"wg {__version__}")
        return 0
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            run(arguments)
    except InputError as error:
        print(f"wg: error: {error}", file=sys.stderr)
        return 1 if isinstance(error, PartlyDone) else 2
    except OSError as error:
        if error.errno not in (*FULL, *UNREACHABLE):
            raise
        reason = f"{error.filename or 'the disk'}: {error.strerror}"
        remedy = "free space" if error.errno in FULL else "mend this path or its permissions"
        print(f"wg: error: {reason}; {remedy} and run this again", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "can't allocate memory" not in str(error):
            raise
        print("wg: error: out of memory; give smaller batches, segments or models", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"wg: {stop}", file=sys.stderr)
        return 75
    except KeyboardInterrupt:
        print("wg: interrupted; run the same command to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
