"""Sample rates: those that are usual, and which can be converted into each other."""

from __future__ import annotations

import math

from wg.errors import InputError

USUAL = (8000, 11025, 16000, 22050, 24000, 32000, 44100)  # Hz, of recordings and telephones
HIGHEST = 1_000_000  # Hz
_LARGEST = 20_000_000  # values of a resampling filter; those of usual rates have under 100,000


def check_rates(found: int, target: int) -> None:
    """InputError for rates in Hz whose resampling takes gigabytes: a windowed sinc is computed
    for each phase, and rates without a large common divisor have millions of them.
    """
    for rate in (found, target):
        if not 1 <= rate <= HIGHEST:
            raise InputError(f"a rate of {rate} Hz: give 1 to {HIGHEST} Hz")
    common = math.gcd(found, target)
    size = (found // common) * (target // common)
    if size > _LARGEST:
        raise InputError(
            f"{found} Hz cannot be resampled to {target} Hz here: the filter would take "
            f"{8 * size / 2**30:.1f} GiB, as the rates share no divisor above {common}; convert "
            f"the audio before (sox IN -r {target} OUT)"
        )
