"""Rates that cannot be converted are refused before their filter fills the memory."""

import pytest

from wg.errors import InputError
from wg.rates import check_rates


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("target", [8000, 16000, 22050, 24000, 44100, 48000])
def test_usual_rates_pass(rate: int, target: int) -> None:
    check_rates(rate, target)


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (44101, "44101 Hz cannot be resampled to 22050 Hz here: the filter would take 7.2 GiB"),
        (22051, "convert the audio before"),
        (99_999_999, "a rate of 99999999 Hz: give 1 to 1000000 Hz"),
        (0, "a rate of 0 Hz"),
    ],
)
def test_odd_rates_are_refused_with_what_they_would_take(rate: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_rates(rate, 22050)
