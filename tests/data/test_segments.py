from itertools import islice
from pathlib import Path

import pytest
import torch
from test_dump import SPEC, clip, dump_of

from wg.data.segments import (
    Draw,
    EndlessBatches,
    Segments,
    Share,
    collate,
    training_loader,
    validation_loader,
)


def batches(share: Share = Share(), first: int = 0, count: int = 6) -> list[list[Draw]]:  # noqa: B008
    return list(islice(EndlessBatches(10, 4, 7, share, first), count))


def test_crops_are_frame_exact(tmp_path: Path) -> None:
    entry, audio, mel = clip("a", 6400)
    segments = Segments(dump_of(tmp_path, (entry, audio, mel)), 8)
    for seed in range(20):
        crop = segments[Draw(0, seed)]
        starts = [f for f in range(93) if torch.equal(mel[:, f : f + 8], crop.mel)]
        assert len(starts) == 1
        assert torch.equal(crop.audio, audio[starts[0] * 64 : (starts[0] + 8) * 64])


def test_crops_reach_both_ends(tmp_path: Path) -> None:
    entry, audio, mel = clip("a", 640)  # 10 frames
    segments = Segments(dump_of(tmp_path, (entry, audio, mel)), 8)
    first = {float(segments[Draw(0, seed)].mel[0, 0]) for seed in range(60)}
    assert first == {float(mel[0, f]) for f in range(3)}


def test_a_short_clip_is_padded_with_silence_and_says_so(tmp_path: Path) -> None:
    entry, audio, mel = clip("a", 320)
    crop = Segments(dump_of(tmp_path, (entry, audio, mel)), 8)[Draw(0, 1)]
    assert crop.frames == 5
    assert torch.equal(crop.audio[320:], torch.zeros(192))
    assert torch.equal(crop.mel[:, 5:], SPEC.silence[:, None].expand(-1, 3))
    assert "frames" in collate([crop]) and torch.isfinite(crop.mel).all()


def test_every_utterance_comes_once_a_pass() -> None:
    drawn = [draw.utterance for batch in batches(count=5) for draw in batch]
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]


def test_training_goes_on_at_any_batch() -> None:
    assert batches(first=3, count=3) == batches()[3:]


def test_processes_share_the_batches_of_one() -> None:
    shares = [batches(Share(rank, 2)) for rank in range(2)]
    assert [one + two for one, two in zip(*shares, strict=True)] == batches()


def test_workers_change_nothing(tmp_path: Path) -> None:
    segments = Segments(dump_of(tmp_path, clip("a", 6400), clip("b", 5000, seed=1)), 8)
    plain, parallel = (
        [b["audio"] for b in islice(iter(loader), 3)]
        for loader in (
            training_loader(segments, EndlessBatches(2, 2, 1, Share(), 0), workers)
            for workers in (0, 1)
        )
    )
    assert all(torch.equal(a, b) for a, b in zip(plain, parallel, strict=True))


def test_validation_is_always_the_same_middle(tmp_path: Path) -> None:
    entry, audio, mel = clip("a", 6400)
    segments = Segments(dump_of(tmp_path, (entry, audio, mel)), 8)
    (batch,) = list(validation_loader(segments, 64, 4, Share()))
    assert torch.equal(batch["mel"][0], mel[:, 46:54])


@pytest.mark.parametrize(("utterances", "world", "size"), [(7, 2, 4), (5, 4, 4), (64, 3, 6)])
def test_processes_share_validation_in_as_many_batches(
    tmp_path: Path, utterances: int, world: int, size: int
) -> None:
    clips = [clip(f"clip-{number:02d}", 640, seed=number) for number in range(20)]
    segments = Segments(dump_of(tmp_path, *clips), 8)
    whole = list(validation_loader(segments, utterances, size, Share()))
    shares = [
        list(validation_loader(segments, utterances, size, Share(rank, world)))
        for rank in range(world)
    ]
    assert len({len(batches) for batches in shares}) == 1
    ids = sorted(name for batches in shares for batch in batches for name in batch["ids"])
    assert ids == sorted(name for batch in whole for name in batch["ids"])
    assert len(ids) == len(set(ids)) == min(utterances, 20)


def test_fewer_validation_utterances_than_processes_are_everybodys(tmp_path: Path) -> None:
    segments = Segments(dump_of(tmp_path, clip("a", 640), clip("b", 640, seed=1)), 8)
    for rank in range(3):
        batches = list(validation_loader(segments, 64, 3, Share(rank, 3)))
        assert [batch["ids"] for batch in batches] == [["a"], ["b"]]
