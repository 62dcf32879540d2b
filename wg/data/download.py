"""Downloads whose failures say what to do instead."""

from __future__ import annotations

import socket
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError

from wg.errors import InputError

_SILENCE = 60.0  # seconds without an answer until a server counts as unreachable


def check_own(folder: Path, archive: str) -> None:
    """InputError for a corpus that the user put where one is downloaded to: Lhotse would delete it.

    One with the archive beside it, or above, is what an interrupted extraction left.
    """
    mine = (folder / ".completed", folder.parent / archive, folder.parent.parent / archive)
    if folder.is_dir() and any(folder.iterdir()) and not any(path.exists() for path in mine):
        raise InputError(
            f"{folder}: wg did not download it, and a download would replace it; give the corpus "
            "with --corpus-dir, or move it"
        )


@contextmanager
def explained(name: str, url: str, target: Path) -> Iterator[None]:
    """Turn what can go wrong inside (network, archive, disk) into an InputError."""
    by_hand = f"download {name} by hand from {url} and pass --corpus-dir"
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE)  # urllib would wait for ever
    try:
        yield
    except HTTPError as error:
        raise InputError(f"{error.url}: the server answers {error.code}; {by_hand}") from None
    except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
        raise InputError(f"no network: {by_hand} ({error})") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(
                f"{target}: cannot store {name} ({error.strerror}); "
                "free space or choose another folder"
            ) from None
        # bz2 reports a damaged stream as an OSError without a number.
        raise InputError(
            f"{target}: the archive of {name} is damaged ({error}); delete it and start again, "
            f"or {by_hand}"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)
        for archive in target.glob("*.tar.*"):
            if archive.stat().st_size == 0:  # opened before the server was reached
                archive.unlink()
