import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from wg.data import slices
from wg.data.dump import Dump, damaged, make_index, write_shard
from wg.data.index import INDEX, Utterance
from wg.errors import InputError
from wg.files import write_bytes
from wg.mel.extract import log_mel
from wg.mel.spec import MelSpec

SPEC = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=10, framing="hop")
CENTRED = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=10)


def clip(name: str, samples: int, spec: MelSpec = SPEC, seed: int = 0):
    audio = torch.randn(samples, generator=torch.Generator().manual_seed(seed)) * 0.1
    mel = log_mel(audio, spec)
    return Utterance(name, samples, mel.shape[1], "words", "someone"), audio, mel


def dump_of(folder: Path, *clips, spec: MelSpec = SPEC) -> Dump:
    write_shard(folder / "shard-00000.safetensors", list(clips), spec, "made-of")
    return Dump(folder)


def test_a_slice_is_the_same_part_of_audio_and_mel(tmp_path: Path) -> None:
    one, two = clip("a", 3000), clip("b", 2000, seed=1)
    dump = dump_of(tmp_path, one, two)
    assert [entry.id for entry in dump.utterances] == ["a", "b"]
    assert torch.equal(dump.audio(1, 3, 4), two[1][3 * 64 : 7 * 64])
    assert torch.equal(dump.mel(1, 3, 4), two[2][:, 3:7])
    assert dump.utterances[1].text == "words" and dump.utterances[1].speaker == "someone"


def test_audio_is_padded_to_whole_frames_never_the_mel_trimmed(tmp_path: Path) -> None:
    entry, audio, mel = clip("a", 1000, CENTRED)  # 16 frames of 64: 1024 samples
    dump = dump_of(tmp_path, (entry, audio, mel), spec=CENTRED)
    assert dump.mel(0).shape[1] == mel.shape[1] == 16
    assert torch.equal(dump.audio(0), torch.cat([audio, torch.zeros(24)]))
    assert torch.equal(dump.recording(0), audio)


def test_shards_of_several_files_are_one_dump(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard-00001.safetensors", [clip("b", 900, seed=2)], SPEC, "x")
    write_shard(tmp_path / "shard-00000.safetensors", [clip("a", 900)], SPEC, "x")
    dump = Dump(tmp_path)
    assert [entry.id for entry in dump.utterances] == ["a", "b"]
    assert torch.equal(dump.recording(1)[:896], clip("b", 900, seed=2)[1][:896])


def read_in_child(dump: Dump, queue) -> None:
    queue.put(float(dump.audio(0).sum()))


def test_a_dump_with_open_files_goes_to_another_process(tmp_path: Path) -> None:
    dump = dump_of(tmp_path, clip("a", 900))
    expected = float(dump.audio(0).sum())
    start = multiprocessing.get_context("spawn")
    queue = start.Queue()
    child = start.Process(target=read_in_child, args=(dump, queue))
    child.start()
    assert queue.get(timeout=60) == expected
    child.join()


def test_a_missing_or_broken_shard_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run stage 2"):
        Dump(tmp_path)
    dump_of(tmp_path, clip("a", 900))
    path = tmp_path / "shard-00000.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"shard-00000.*delete it, run stage 2"):
        Dump(tmp_path)


def test_shards_of_different_features_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard-00000.safetensors", [clip("a", 900)], SPEC, "x")
    write_shard(tmp_path / "shard-00001.safetensors", [clip("b", 900, CENTRED)], CENTRED, "x")
    with pytest.raises(InputError, match="different MelSpecs"):
        Dump(tmp_path)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write .*; free space"):
        write_bytes(tmp_path / "file" / "shard", b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def fill_small_disk(folder: str, queue) -> None:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        write_bytes(Path(folder) / "big", b"x" * 50_000)
    except InputError as error:
        queue.put(str(error))


def test_a_full_disk_is_one_clear_error_and_no_half_file(tmp_path: Path) -> None:
    start = multiprocessing.get_context("spawn")
    queue = start.Queue()
    child = start.Process(target=fill_small_disk, args=(str(tmp_path), queue))
    child.start()
    message = queue.get(timeout=60)
    child.join()
    assert message.startswith(f"cannot write {tmp_path / 'big'}: ")
    assert not list(tmp_path.iterdir())


def indexed(folder: Path, shards: int = 3) -> Dump:
    """A dump of a clip a shard, with its index."""
    for number in range(shards):
        made = clip(f"clip-{number}", 900 + 64 * number, seed=number)
        write_shard(folder / f"shard-{number:05d}.safetensors", [made], SPEC, "x")
    make_index(folder)
    return Dump(folder)


def test_an_index_tells_what_the_headers_do(tmp_path: Path) -> None:
    with_index = indexed(tmp_path)
    (tmp_path / INDEX).unlink()
    without = Dump(tmp_path)
    assert list(with_index.utterances) == list(without.utterances)
    assert with_index.utterances[-1].id == "clip-2" and len(with_index.utterances[1:]) == 2
    assert with_index.spec == without.spec == SPEC
    for index in range(3):
        assert torch.equal(with_index.mel(index), without.mel(index))
        assert with_index.index_of(f"clip-{index}") == without.index_of(f"clip-{index}") == index
    with pytest.raises(InputError, match="no utterance 'clip-9'"):
        with_index.index_of("clip-9")


def test_few_shards_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "OPEN", 2)
    dump = indexed(tmp_path)
    sums = [float(dump.audio(index).sum()) for index in (0, 1, 2, 0)]
    assert sums[0] == sums[3] and len(dump._slices._open) == 2


def test_a_shard_that_is_cut_off_while_it_is_read_is_named(tmp_path: Path) -> None:
    dump = indexed(tmp_path)
    expected = dump.audio(1)
    path = tmp_path / "shard-00001.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-2000])
    with pytest.raises(InputError, match=f"{path}: cut off; run stage 2"):
        dump.mel(1)
    with pytest.raises(InputError, match=f"{path}: cut off; run stage 2"):
        pickle.loads(pickle.dumps(dump)).mel(1)
    path.write_bytes(whole)
    assert torch.equal(dump.audio(1), expected)


def test_a_shard_has_the_same_bytes_whoever_writes_it(tmp_path: Path) -> None:
    made = clip("a", 900)
    write_shard(tmp_path / "one" / "shard-00000.safetensors", [made], SPEC, "x")
    write = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_dump import *; write_shard(Path(sys.argv[1]), [clip("a", 900)], SPEC, "x")
"""
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-c", write, str(other)], check=True)
    assert other.read_bytes() == (tmp_path / "one" / "shard-00000.safetensors").read_bytes()


def test_a_missing_or_truncated_shard_is_named_when_a_dump_is_opened(tmp_path: Path) -> None:
    indexed(tmp_path)
    second, third = (tmp_path / f"shard-0000{number}.safetensors" for number in (1, 2))
    content = second.read_bytes()
    second.write_bytes(content[:-100])
    with pytest.raises(InputError, match=f"{second}: {len(content) - 100} bytes, {len(content)} w"):
        Dump(tmp_path)
    second.write_bytes(content)
    third.unlink()
    with pytest.raises(InputError, match=f"{third}: missing; run stage 2"):
        Dump(tmp_path)


def test_each_kind_of_damage_to_a_shard_is_found(tmp_path: Path) -> None:
    indexed(tmp_path)
    paths = [tmp_path / f"shard-0000{number}.safetensors" for number in range(3)]
    assert damaged(tmp_path) == {}
    content = bytearray(paths[0].read_bytes())
    paths[0].write_bytes(content)  # written again, the same
    assert damaged(tmp_path) == {}
    content[-7] ^= 1
    paths[0].write_bytes(content)
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    paths[2].unlink()
    found = damaged(tmp_path)
    assert list(found) == [path.name for path in paths]
    assert found[paths[0].name] == "altered" and found[paths[2].name] == "missing"
    assert "were written" in found[paths[1].name]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "..", "", "x" * 300, "a\0b", "a\nb"])
def test_an_id_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="give a name that a file can have"):
        Utterance(name, 1, 1)


def test_a_shard_with_an_id_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000.safetensors"
    write_shard(path, [clip("aaaaaa", 900)], SPEC, "x")
    path.write_bytes(path.read_bytes().replace(b"aaaaaa", b"../../"))
    with pytest.raises(InputError, match=f"{path}: utterance id is '../../'"):
        Dump(tmp_path)
