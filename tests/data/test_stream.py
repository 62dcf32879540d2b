"""Tars are read once from end to end, and train in an order that can be known."""

from __future__ import annotations

import functools
import http.server
import io
import json
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import fsspec
import pytest
import torch
from test_dump import SPEC, clip

from wg.data.dump import Dump, write_shard
from wg.data.segments import Share
from wg.data.stream import SegmentStream, StreamLoader, deals, lanes_of, mixed
from wg.data.tars import INDEX, Tars, plan_tars, write_index, write_tar
from wg.errors import InputError

FRAMES, BATCH, EACH = 8, 4, 5  # frames of a segment, segments of a batch, utterances of a shard


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Dump:
    """Eight shards of five utterances, one of them shorter than a segment."""
    folder = tmp_path_factory.mktemp("dump")
    for shard in range(8):
        numbers = range(shard * EACH, (shard + 1) * EACH)
        clips = [clip(f"a.{n:02d}", 400 if n == 7 else 900 + 20 * n, seed=n) for n in numbers]
        write_shard(folder / f"shard-{shard:05d}.safetensors", clips, SPEC, f"made of {shard}")
    return Dump(folder)


def written(dump: Dump, target: Path) -> Tars:
    write_index(target, dump.spec, [write_tar(job) for job in plan_tars(dump, target)], "digest")
    return Tars(str(target))


@pytest.fixture
def tars(dump: Dump, tmp_path: Path) -> Tars:
    return written(dump, tmp_path / "tars")


def stream_of(tars: Tars) -> SegmentStream:
    return SegmentStream(tars, FRAMES, 12, BATCH, 7)


def batches(
    tars: Tars,
    share: Share = Share(),  # noqa: B008
    first: int = 0,
    workers: int = 0,
    count: int = 20,
) -> list[dict]:
    return list(islice(StreamLoader(stream_of(tars), share, first, workers), count))


def same(one: dict, other: dict) -> bool:
    tensors = [name for name, value in one.items() if isinstance(value, torch.Tensor)]
    assert one.keys() == other.keys() and {"audio", "mel"} <= set(tensors)
    plain = one.keys() - set(tensors)
    return all(torch.equal(one[n], other[n]) for n in tensors) and all(
        one[n] == other[n] for n in plain
    )


def test_tars_hold_what_the_dump_holds(dump: Dump, tars: Tars) -> None:
    assert tars.spec == dump.spec and len(tars) == len(dump) == 40
    for number in range(8):
        for place, found in tars.read(number, lambda _: True):
            row = EACH * number + place
            assert found.entry == dump.utterances[row]
            assert torch.equal(found.audio, dump.audio(row))
            assert torch.equal(found.mel, dump.mel(row))


def test_the_webdataset_package_reads_them(dump: Dump, tars: Tars) -> None:
    webdataset = pytest.importorskip("webdataset")
    urls = [f"{tars.place}/{tar.name}" for tar in tars.tars]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert [sample["json"]["id"] for sample in samples] == [entry.id for entry in dump.utterances]
    assert torch.equal(torch.from_numpy(samples[3]["mel.npy"]).T, dump.mel(3))


def test_every_utterance_comes_once_a_pass(tars: Tars) -> None:
    ids = [name for batch in batches(tars) for name in batch["ids"]]
    first, second = Counter(ids[:40]), Counter(ids[40:])
    assert set(first.values()) == set(second.values()) == {1} and len(first) == len(second) == 40
    assert ids[:40] != ids[40:]


def test_segments_are_frame_exact_and_others_in_each_pass(dump: Dump, tars: Tars) -> None:
    starts: dict[str, list[int]] = {}
    for batch in batches(tars):
        for name, audio, mel in zip(batch["ids"], batch["audio"], batch["mel"], strict=True):
            whole, index = dump.mel(dump.index_of(name)), dump.index_of(name)
            if whole.shape[1] < FRAMES:
                assert torch.equal(mel[:, : whole.shape[1]], whole)
                continue
            places = range(whole.shape[1] - FRAMES + 1)
            (start,) = [f for f in places if torch.equal(whole[:, f : f + FRAMES], mel)]
            assert torch.equal(audio, dump.audio(index, start, FRAMES))
            starts.setdefault(name, []).append(start)
    assert sum(first != second for first, second in starts.values()) > 10


def test_a_short_clip_says_where_it_ends(tars: Tars) -> None:
    short = [batch for batch in batches(tars) if "a.07" in batch["ids"]]
    assert all(batch["frames"][batch["ids"].index("a.07")] == 6 for batch in short) and short


@pytest.mark.parametrize("first", [3, 9, 10, 17])
def test_training_goes_on_at_any_batch(tars: Tars, first: int) -> None:
    whole = batches(tars)
    gone_on = batches(tars, first=first, count=20 - first)
    assert all(same(a, b) for a, b in zip(whole[first:], gone_on, strict=True))


def test_a_run_that_goes_on_does_not_open_the_tars_behind_it(tars: Tars) -> None:
    stream = SegmentStream(tars, FRAMES, 1, 1, 7)
    order = next(deals(tars.sizes, 1, 7))[0]
    for tar in order[:5]:
        Path(tars.place, tars.tars[tar].name).unlink()
    rest: list[dict] = list(islice(StreamLoader(stream, Share(), 6 * EACH + 1, 0), 2 * EACH - 1))
    names = {name for batch in rest for name in batch["ids"]}
    assert names < {f"a.{EACH * tar + n:02d}" for tar in order[5:] for n in range(EACH)}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_loading_processes_change_nothing(tars: Tars, workers: int) -> None:
    pairs = zip(batches(tars, count=12), batches(tars, workers=workers, count=12), strict=True)
    assert all(same(one, other) for one, other in pairs)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_batches_of_one(tars: Tars, world: int) -> None:
    shares = [batches(tars, Share(rank, world)) for rank in range(world)]
    for number, whole in enumerate(batches(tars)):
        parts = [share[number] for share in shares]
        for name in ("ids", "seeds", "rows"):
            assert [value for part in parts for value in part[name]] == whole[name]
        assert torch.equal(torch.cat([part["audio"] for part in parts]), whole["audio"])


def test_each_process_opens_its_own_tars_alone(tars: Tars) -> None:
    first, second = (
        {name for batch in batches(tars, Share(rank, 2), count=10) for name in batch["ids"]}
        for rank in range(2)
    )
    assert not first & second and len(first | second) == 40


def test_any_usual_number_of_processes_has_the_same_lanes() -> None:
    assert {lanes_of(64, world) for world in (1, 2, 4, 8)} == {8}
    assert lanes_of(64, 16) == 16 and lanes_of(6, 3) == 6 and lanes_of(7, 7) == 7


def test_lanes_stay_beside_each_other_where_tars_differ_in_size() -> None:
    sizes = [5, 1, 9, 3, 3, 7, 2]
    had = [0, 0, 0]
    for dealt in islice(deals(sizes, 3, 1), 50):
        assert sorted(tar for lane in dealt for tar in lane) == list(range(7))
        had = [total + sum(sizes[t] for t in lane) for total, lane in zip(had, dealt, strict=True)]
        assert max(had) - min(had) <= max(sizes)


@pytest.mark.parametrize(("size", "buffer"), [(100, 10), (10, 100), (7, 1), (0, 4)])
def test_a_buffer_mixes_no_further_than_it_reaches(size: int, buffer: int) -> None:
    order = mixed(size, buffer, 3)
    assert sorted(order) == list(range(size))
    assert all(place < at + max(1, buffer) + 1 for at, place in enumerate(order))
    assert size < 50 or order != sorted(order)


def test_clips_are_of_tars_evenly_spread(dump: Dump, tars: Tars) -> None:
    assert len(list(tars.clips(1000))) == 40
    found = [audio for audio, _ in tars.clips(8)]
    assert all(torch.equal(found[tar], dump.audio(EACH * tar)) for tar in range(8))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def cut_between_files(path: Path) -> None:
    """As a copy that stopped where one utterance ends: to tar itself nothing is wrong."""
    with tarfile.open(path) as tar:
        end = tar.getmembers()[-3].offset
    path.write_bytes(path.read_bytes()[:end])


def flip(path: Path) -> None:
    with tarfile.open(path) as tar:
        audio = tar.getmember("000000017.audio.npy").offset_data
    content = bytearray(path.read_bytes())
    content[audio + 1000] ^= 1
    path.write_bytes(content)


def another(path: Path) -> None:
    path.write_bytes(path.with_name("shard-00004.tar").read_bytes())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "cannot be read to its end"),
        (cut_between_files, "4 of 5 utterances"),
        (flip, "altered"),
        (another, "not of the shard that index.json says"),
        (Path.unlink, "No such file"),
    ],
)
def test_a_bad_tar_is_named_in_one_line(tars: Tars, damage, reason: str) -> None:
    damage(Path(tars.place, "shard-00003.tar"))
    with pytest.raises(InputError, match=rf"^\S+/shard-00003\.tar: [^\n]*{reason}[^\n]*$"):
        batches(tars)


def test_a_place_without_tars_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.json: cannot be read.*by wg tars"):
        Tars(str(tmp_path))
    with pytest.raises(InputError, match=r"nothing://there/index\.json: .*nothing"):
        Tars("nothing://there")
    for content in ("", "[]", '{"spec": 1}', json.dumps({"tars": [{"name": "../x"}]})):
        (tmp_path / INDEX).write_text(content)
        with pytest.raises(InputError, match=r"index\.json"):
            Tars(str(tmp_path))


def test_fewer_tars_than_are_read_at_once_are_refused(tars: Tars) -> None:
    stream = SegmentStream(tars, FRAMES, 12, 18, 7)
    with pytest.raises(InputError, match=r"8 tars in .*, but 18 are read at once; make smaller"):
        StreamLoader(stream, Share(0, 9), 0, 0)


def test_written_again_only_what_changed_is_written(dump: Dump, tars: Tars) -> None:
    folder = Path(tars.place)
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    (folder / "shard-00002.tar").unlink()
    another(folder / "shard-00005.tar")
    written(dump, folder)
    again = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    assert {name for name in times if times[name] != again[name]} == {
        "shard-00002.tar",
        "shard-00005.tar",
    }
    assert len(batches(Tars(tars.place))) == 20


def test_tars_are_the_same_bytes_whoever_writes_them(
    dump: Dump, tars: Tars, tmp_path: Path
) -> None:
    other = written(dump, tmp_path / "again")
    for tar in tars.tars:
        assert Path(tars.place, tar.name).read_bytes() == Path(other.place, tar.name).read_bytes()


@pytest.fixture
def url(tars: Tars) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tars.place)
    handler.log_message = lambda *_: None  # pyright: ignore
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_url_serves_as_a_folder_does(tars: Tars, url: str, workers: int) -> None:
    pytest.importorskip("aiohttp")
    pairs = zip(batches(tars, count=6), batches(Tars(url), workers=workers, count=6), strict=True)
    assert all(same(one, other) for one, other in pairs)


def test_an_object_store_serves_as_a_folder_does(tars: Tars) -> None:
    store = fsspec.filesystem("memory")
    for path in Path(tars.place).glob("*.*"):
        store.pipe(f"/bucket/{path.name}", path.read_bytes())
    pairs = zip(batches(tars), batches(Tars("memory://bucket")), strict=True)
    assert all(same(one, other) for one, other in pairs)
    store.pipe("/bucket/shard-00001.tar", io.BytesIO().getvalue())
    with pytest.raises(InputError, match=r"memory://bucket/shard-00001\.tar: cannot be read"):
        batches(Tars("memory://bucket"))
