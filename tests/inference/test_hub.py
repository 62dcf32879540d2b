"""Vocoder folders: saved, spoilt, and on a hub (a server of its own on this machine)."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from tiny_vocoder import random_mel, tiny_vocoder

from wg import Vocoder
from wg.errors import InputError
from wg.inference.pretrained import local_folder, push

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_vocoder().save_pretrained(tmp_path / "voc")
    return tmp_path / "voc"


def test_a_folder_brings_the_vocoder_back(folder: Path) -> None:
    again = Vocoder.from_pretrained(str(folder))
    assert torch.equal(again(random_mel(5)), tiny_vocoder()(random_mel(5)))
    card = (folder / "README.md").read_text()
    assert "from wg import Vocoder" in card and "- sample_rate: 8000" in card


def test_a_vocoder_in_bfloat16_is_stored_and_loads(tmp_path: Path) -> None:
    tiny_vocoder().bfloat16().save_pretrained(tmp_path)
    again = Vocoder.from_pretrained(tmp_path)
    assert again.dtype == torch.float32
    assert torch.isfinite(again(random_mel(3))).all()


def test_one_changed_byte_of_the_weights_is_noticed(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="not the weights that config.json was written with"):
        Vocoder.from_pretrained(folder)


def test_a_pickle_in_place_of_the_weights_is_refused(folder: Path) -> None:
    torch.save({"a": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(InputError, match="model.safetensors: not a readable safetensors file"):
        Vocoder.from_pretrained(folder)


def test_a_newer_format_asks_for_a_newer_wg(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(InputError, match="format 2; this wg reads format 1: update wg"):
        Vocoder.from_pretrained(folder)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as a download of public files needs."""

    files: dict[str, bytes] = {}

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:4] == ["api", "models", "me", "voc"]:
            names = [{"rfilename": name} for name in self.files]
            listing = [
                {"type": "file", "path": name, "size": len(content), "oid": COMMIT}
                for name, content in self.files.items()
            ]
            known = {"id": "me/voc", "sha": COMMIT, "siblings": names}
            self.answer(json.dumps(listing if "tree" in parts else known).encode())
        elif parts[:3] == ["me", "voc", "resolve"] and parts[-1] in self.files:
            self.answer(self.files[parts[-1]])
        else:
            self.answer(b"{}", 404)

    def answer(self, content: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub(folder: Path) -> Iterator[str]:
    Hub.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def load(names: list[str], endpoint: str, home: Path) -> list[str]:
    """In a process of its own: huggingface_hub reads its environment when it is imported."""
    program = f"""
import torch
from wg import Vocoder
from wg.errors import InputError
for name in {names!r}:
    try:
        print(len(Vocoder.from_pretrained(name)(torch.zeros(10, 3))))
    except InputError as error:
        print("refused:", error)
"""
    environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, **environment, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_hub_id_is_downloaded_once_and_then_works_offline(hub: str, tmp_path: Path) -> None:
    known, unknown = load(["me/voc", "me/other"], hub, tmp_path / "cache")
    assert known == "192"
    assert unknown.startswith("refused: me/other: no such folder, and not to be had as a hub id")
    known, unknown = load(["me/voc", "me/other"], "http://127.0.0.1:9", tmp_path / "cache")
    assert known == "192"
    assert unknown.startswith(
        "refused: me/other: no such folder, and as a hub id it is not in the cache and the hub"
    )


def test_what_looks_like_no_hub_id_is_a_folder(tmp_path: Path) -> None:
    for name in ("voc", "../voc", "/a/b", str(tmp_path / "none")):
        assert local_folder(name) == Path(name)
    with pytest.raises(InputError, match="config.json: no such file"):
        Vocoder.from_pretrained("voc")


def test_pushing_uploads_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    seen: dict[str, object] = {}

    def create_repo(self: object, repo_id: str, **options: object) -> str:
        seen["repo"] = (repo_id, options)
        return f"https://hub/{repo_id}"

    def upload_folder(self: object, *, folder_path: Path, **options: object) -> None:
        seen["files"] = sorted(path.name for path in Path(folder_path).iterdir())

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    assert tiny_vocoder().push_to_hub("me/voc", private=True) == "https://hub/me/voc"
    assert seen["repo"] == ("me/voc", {"private": True, "exist_ok": True})
    assert seen["files"] == ["README.md", "config.json", "model.safetensors"]
    with pytest.raises(InputError, match="repo_id 'voc': give USER/NAME"):
        push(Path(), "voc", False, None)
