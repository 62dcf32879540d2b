"""Repair of a CUDA torchaudio beside a CPU torch: its compiled extension is switched off.

PyPI's torchaudio is built for CUDA. Beside a CPU build of torch its extension `_torchaudio*.so`
cannot load, and `import torchaudio` fails. Without that file it runs in pure Python, which is all
wg uses (filterbanks, resampling). Only this one mismatch is touched; any other failure is reported.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

DISABLED = ".disabled"


def extensions(torchaudio: Path) -> list[Path]:
    """Files that `import torchaudio` loads as its extension, in the package folder `torchaudio`."""
    return sorted((torchaudio / "lib").glob("_torchaudio*.so"))


def is_mismatch(torch_cuda: str | None, torchaudio: Path, failure: Exception) -> bool:
    """Whether `failure`, raised by `import torchaudio`, is that of a CUDA build beside a CPU torch.

    `torch_cuda` is `torch.version.cuda`, None in a CPU build.
    """
    built_for_cuda = "+cu" in (torchaudio / "version.py").read_text(encoding="utf-8")
    # torch names the extension; without its wrapper the loader names the CUDA library it misses.
    in_extension = "_torchaudio" in str(failure) or "libcud" in str(failure)
    return (
        torch_cuda is None
        and built_for_cuda
        and isinstance(failure, OSError)
        and in_extension
        and bool(extensions(torchaudio))
    )


def disable(files: list[Path]) -> None:
    """Renames `files` so that nothing loads them; raises OSError where that is not allowed."""
    for file in files:
        file.rename(file.with_name(file.name + DISABLED))


def main() -> int:
    """Checks `import torchaudio` in this interpreter, repairs the one mismatch; 0 when it works."""
    import torch

    spec = importlib.util.find_spec("torchaudio")
    if spec is None or spec.origin is None:
        print("torchaudio: not installed: run tools/setup.sh", file=sys.stderr)
        return 1
    folder = Path(spec.origin).parent
    try:
        importlib.import_module("torchaudio")
        print("torchaudio: works beside this torch")
        return 0
    except Exception as failure:
        if not is_mismatch(torch.version.cuda, folder, failure):
            print(f"torchaudio: cannot be imported: {failure}", file=sys.stderr)
            return 1
    files = extensions(folder)
    disable(files)
    names = ", ".join(file.name for file in files)
    print(
        "torchaudio: built for CUDA beside a CPU torch, so its extension cannot load: renamed"
        f" {names} to *{DISABLED}; filterbanks and resampling run without it"
    )
    # A new interpreter: this one keeps half of the failed import.
    return subprocess.run([sys.executable, "-c", "import torchaudio"]).returncode


if __name__ == "__main__":
    sys.exit(main())
