"""One run at a time in a folder: a lock beside it that says who holds it.

A holder that is gone is recognised: on this machine by its process, on another by a lock whose
time nobody renews any more. The processes of one run on several machines share its lock; one that
has lost it to another run, as after minutes of standing still, ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wg.errors import InputError
from wg.processes.launch import Member

ALONE = Member("", "alone")
HERE = ("host", "boot", "space")  # what is the same of two processes that see each other
LINKLESS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # no second name
RENEWED = 30.0  # seconds between renewals
STALE = 300.0  # seconds without one, after which a holder on another machine is gone


def lock_path(folder: Path) -> Path:
    """Where a folder's lock lies: beside it, since folders are replaced and moved whole."""
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def locked(folder: Path, patience: float = 0.0, member: Member = ALONE) -> Iterator[None]:
    """Holds a folder's lock, or has another process of the same run hold it.

    InputError naming the holder where another run has it, which is waited for as many seconds as
    there is patience.
    """
    path = lock_path(folder)
    made = [p for p in (path.parent, *path.parent.parents) if not p.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot be made ({error.strerror}); choose another place"
        ) from None
    mine = {**_me(), "run": member.run}
    if not _get(path, mine, patience, member, folder):
        yield
        return
    ended = threading.Event()
    threading.Thread(target=_renew, args=(path, mine, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if _read(path) == mine:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # where the run has left nothing
            for parent in made:
                parent.rmdir()


def _get(path: Path, mine: dict[str, Any], patience: float, member: Member, folder: Path) -> bool:
    """Whether this process has the lock now; no: another one of its run has."""
    began, tries = time.monotonic(), 3
    while tries:
        if member.role != "other" and _take(path, mine):
            return True
        holder = _read(path)
        gone = _is_gone(path, holder)
        ours = holder is not None and bool(member.run) and holder.get("run") == member.run
        if (member.role == "other" and (ours or gone)) or (member.role == "any" and ours > gone):
            return False
        if not gone:
            # Of this very job on another machine: from before SLURM put it in the queue again.
            before = ours and not _is_here(holder)
            if time.monotonic() - began < max(patience, before * (STALE + 2 * RENEWED)):
                time.sleep(0.2)
                continue
            raise InputError(
                f"{folder}: another run is at work there ({_said(holder)}); wait for it, or give "
                f"another --work-dir (if it is certainly gone, delete {path})"
            )
        tries -= 1
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    raise InputError(f"{folder}: another run has just begun there; wait for it")


def _me() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "space": _link("/proc/self/ns/pid"),
        "pid": os.getpid(),
        "began": _began(os.getpid()),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _take(path: Path, mine: dict[str, Any]) -> bool:
    """Makes the lock unless it is there: a link is made by one only, on NFS too."""
    own = path.with_name(f"{path.name}.{mine['host']}.{mine['pid']}.{threading.get_ident()}")
    try:
        own.write_text(json.dumps(mine), "utf-8")
        os.link(own, path)
    except FileExistsError:
        return own.stat().st_nlink == 2  # an answer of NFS that was lost, and asked for again
    except OSError as error:
        if error.errno not in LINKLESS:
            raise
        return _made(path, mine)
    finally:
        own.unlink(missing_ok=True)
    return True


def _made(path: Path, mine: dict[str, Any]) -> bool:
    """The same where files can have no second name."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(mine))
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _is_here(holder: dict[str, Any] | None) -> bool:
    """Whether its process can be looked for: hosts of one name are told apart by their start."""
    me = _me()
    return holder is not None and all(holder.get(key) == me[key] for key in HERE)


def _is_gone(path: Path, holder: dict[str, Any] | None) -> bool:
    me = _me()
    if holder is not None and _is_here(holder):
        pid = holder.get("pid")
        return not isinstance(pid, int) or _began(pid) is None or _began(pid) != holder.get("began")
    try:
        now = path.with_name(f"{path.name}.{me['host']}.{me['pid']}.now")
        now.touch()  # the disk's clock, which may not be this machine's
        age = now.stat().st_mtime - path.stat().st_mtime
        now.unlink()
    except OSError:
        return True
    return age > STALE


def _said(holder: dict[str, Any] | None) -> str:
    if holder is None:
        return "its lock cannot be read"
    return f"process {holder.get('pid')} on {holder.get('host')}, since {holder.get('time')}"


def _renew(path: Path, mine: dict[str, Any], ended: threading.Event) -> None:
    """Renews the lock; ends this process, at once and as it stands, where another run has it."""
    while not ended.wait(RENEWED):
        holder = _read(path)
        with contextlib.suppress(OSError):
            if holder == mine:
                os.utime(path)
        if holder is not None and holder != mine and not ended.is_set():
            print(
                f"wg: error: {path}: was taken by another run ({_said(holder)}) while this one "
                "stood still; wait for that one",
                file=sys.stderr,
                flush=True,
            )
            os._exit(2)


def _began(pid: int) -> str | None:
    """When a process began, in ticks since the machine did; None where it is not alive."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
        return None if state[0] in "ZX" else state[19]
    except (OSError, IndexError, UnicodeDecodeError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"


def _boot() -> str:
    """What a machine's start is known by; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
