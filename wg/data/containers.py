"""Audio containers: which may be trained on, and whether a file holds all that its header promises.

libsndfile reads a truncated WAV, RF64, W64, AIFF, AU or NIST file as a shorter one, without a word.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO

# Those whose promised length is checked, here or (FLAC, CAF, MP3) by decoding.
CONTAINERS = {
    **dict.fromkeys(("WAV", "WAVEX", "RF64"), (".wav", ".wave")),
    **{"FLAC": (".flac",), "W64": (".w64",), "AIFF": (".aiff", ".aif", ".aifc"), "AU": (".au",)},
    **{"CAF": (".caf",), "NIST": (".sph", ".nist", ".wav"), "MP3": (".mp3",)},
    "OGG": (".ogg", ".oga", ".opus"),
}
LOSSLESS = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
LOSSLESS += ("ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32")
LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_III")
_UNKNOWN_SIZE = 0x7FFFF000  # sox and ffmpeg write this or more when they stream a file
_NIST = re.compile(rb"(sample_count|sample_n_bytes|channel_count) -i (\d{1,12})\s")


def truncated(path: Path) -> str | None:
    """How much is missing of the bytes of audio that the header promises; None: nothing."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        promised, there = _lengths(file, size)
        file.seek(0)
        if file.read(4) == b"OggS":
            return _open_end(file, size)
    if promised is not None and there < promised:
        return f"truncated: {there} of {promised} bytes of audio are there; replace it"
    return None


def _lengths(file: BinaryIO, size: int) -> tuple[int | None, int]:
    """Bytes of audio that the header promises (None: it does not say), and that are there."""
    name = file.read(4)
    if name == b"RIFF":
        return _data_chunk(file, size, "<", b"data")
    if name == b"RIFX":
        return _data_chunk(file, size, ">", b"data")
    if name == b"FORM":
        return _data_chunk(file, size, ">", b"SSND")
    if name == b"RF64":
        promised, there = _data_chunk(file, size, "<", b"data")
        file.seek(12)
        head = file.read(24)
        if head[:4] == b"ds64" and len(head) == 24 and promised is None:
            promised = struct.unpack("<Q", head[16:24])[0]
        return promised, there
    if name in (b".snd", b"dns."):
        head = file.read(8)
        if len(head) == 8:
            offset, promised = struct.unpack(">II" if name == b".snd" else "<II", head)
            return (promised if promised < _UNKNOWN_SIZE else None), size - offset
    if name == b"riff":
        return _wave64(file, size)
    if name == b"NIST":
        head = file.read(1020)
        found = {key: int(value) for key, value in _NIST.findall(head)}
        if len(found) == 3:
            start = int((head[4:12].split() or [b"1024"])[0])
            promised = found[b"sample_count"] * found[b"sample_n_bytes"] * found[b"channel_count"]
            return promised, size - start
    return None, 0


def _data_chunk(file: BinaryIO, size: int, order: str, wanted: bytes) -> tuple[int | None, int]:
    """Of the chunk that holds the samples: what its head promises, and what is there."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack(f"{order}4sI", head)
        if name == wanted:
            return (length if length < _UNKNOWN_SIZE else None), size - file.tell()
        file.seek(length + length % 2, 1)
    return None, 0


def _wave64(file: BinaryIO, size: int) -> tuple[int | None, int]:
    """Its chunks have names of 16 bytes and lengths of 8 that count the head, too."""
    file.seek(40)
    while len(head := file.read(24)) == 24:
        length = struct.unpack("<Q", head[16:])[0]
        if head[:4] == b"data":
            return length - 24, size - file.tell()
        file.seek(max(0, (length + 7) // 8 * 8 - 24), 1)
    return None, 0


def _open_end(file: BinaryIO, size: int) -> str | None:
    """An Ogg stream ends with a page that says so, and is whole."""
    file.seek(max(0, size - (1 << 17)))  # a page is at most 65,307 bytes long
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    segments = page[26] if len(page) > 26 else 0
    whole = len(page) >= 27 + segments + sum(page[27 : 27 + segments])
    if not whole or not page[5] & 4:
        return "truncated: the last page of its Ogg stream is missing; replace it"
    return None
