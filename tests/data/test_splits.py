"""Splits: ids and ranges, and everything that makes them wrong."""

from __future__ import annotations

import random

import pytest

from wg.data.splits import hold_out, resolve
from wg.errors import InputError

IDS = [f"a-{n:02d}" for n in range(1, 11)]


def split(valid=("a-03",), test=("a-01..a-02",), train=(), ids=IDS):
    return resolve(ids, {"train": train, "valid": valid, "test": test})


def test_a_range_includes_both_ends_and_train_is_everything_else():
    chosen = split()
    assert chosen["test"] == ("a-01", "a-02")
    assert chosen["valid"] == ("a-03",)
    assert chosen["train"] == tuple(IDS[3:])


def test_the_order_of_the_corpus_does_not_matter():
    assert split(ids=IDS[::-1]) == split()


def test_a_named_train_leaves_the_rest_unused():
    assert split(train=("a-05..a-06", "a-06..a-07"))["train"] == ("a-05", "a-06", "a-07")


def test_a_partial_corpus_keeps_its_splits():
    partial = ["a-02", "a-05", "a-08"]
    chosen = split(valid=("a-04..a-06",), test=("a-01..a-03",), ids=partial)
    assert chosen == {"train": ("a-08",), "valid": ("a-05",), "test": ("a-02",)}


def test_an_id_in_two_splits_is_refused_with_both_names():
    with pytest.raises(InputError, match=r"a-02 is in corpus\.valid and in corpus\.test"):
        split(valid=("a-02..a-03",))
    with pytest.raises(InputError, match=r"a-01 is in corpus\.train and in corpus\.test"):
        split(train=("a-01", "a-09"))


def test_a_range_without_any_id_says_what_the_corpus_has():
    with pytest.raises(InputError, match=r"corpus\.valid: no utterance lies in b-1\.\.b-9.*a-01"):
        split(valid=("b-1..b-9",))


def test_a_range_that_runs_backwards_is_written_out_right():
    with pytest.raises(InputError, match=r"write a-03\.\.a-05"):
        split(valid=("a-05..a-03",))


def test_an_unknown_id_comes_with_the_nearest_one():
    with pytest.raises(InputError, match=r"no utterance 'a-3'; did you mean 'a-03'"):
        split(valid=("a-3",))


@pytest.mark.parametrize("empty", ["valid", "test"])
def test_an_empty_held_out_split_is_refused(empty):
    with pytest.raises(InputError, match=rf"corpus\.{empty} selects none of 10"):
        split(**{empty: ()})


def test_nothing_left_to_train_on_is_refused():
    with pytest.raises(InputError, match=r"corpus\.train selects none"):
        split(valid=("a-03..a-10",))


def test_every_nth_utterance_is_held_out_for_validation_and_the_next_for_testing():
    from lhotse import CutSet
    from lhotse.testing.dummies import dummy_cut

    cuts = CutSet.from_cuts(dummy_cut(number) for number in range(11))
    chosen = {name: list(part.ids) for name, part in hold_out(cuts, 5).items()}
    ids = list(cuts.ids)
    assert chosen["valid"] == [ids[0], ids[5], ids[10]]
    assert chosen["test"] == [ids[1], ids[6]]
    assert sorted(sum(chosen.values(), [])) == sorted(ids)


@pytest.mark.parametrize("seed", range(30))
def test_a_range_takes_the_numbers_between_its_ends_however_they_are_written(seed: int) -> None:
    dice = random.Random(seed)
    width = dice.choice([0, 0, 2, 5])
    form = dice.choice(["{}", "a{}", "{}-x", "b 1.{}", "c_{}_7"])
    numbers = dice.sample(range(1, 500), 40)
    low, high = sorted(dice.sample(range(1, 500), 2))

    def name(number: int) -> str:
        return form.format(f"{number:0{width}d}" if width else number)

    inside = {name(n) for n in numbers if low <= n <= high}
    outside = [name(n) for n in numbers if not low <= n <= high]
    if not inside or len(outside) < 2:
        return
    item = f"{name(low)}..{name(high)}"
    chosen = split(valid=(item,), test=(outside[0],), ids=[name(n) for n in numbers])
    assert set(chosen["valid"]) == inside
    assert set(chosen["train"]) == set(outside[1:])
    with pytest.raises(InputError, match="runs backwards") as caught:
        split(valid=(f"{name(high)}..{name(low)}",), ids=[name(n) for n in numbers])
    assert item in str(caught.value)


def test_an_id_with_dots_is_itself() -> None:
    ids = ["a..c", "a", "b", "c", "d"]
    assert split(valid=("a..c",), test=("d",), ids=ids)["valid"] == ("a..c",)
    with pytest.raises(InputError, match=r"'\.\.' is no range"):
        split(valid=("..",))
