"""Order of convergence of the samplers as a picture, and their agreement with diffusers.

`PYTHONPATH=.:tests/diffusion python benchmarks/sampler_order.py OUT.png` solves the ODE of a
Gaussian mixture, as the tests do. Its solution is known exactly, so the error is the sampler's.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import test_convergence as convergence
import test_diffusers_agreement as agreement
from matplotlib.figure import Figure

STEPS = (4, 8, 16, 32, 64, 128, 256, 512)


def orders(target: Path) -> None:
    """Draws the errors, and prints them with the order between the last two."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for name, order in (("ddim", 1), ("dpm++2m", 2)):
        errors = [convergence.error(name, steps) for steps in STEPS]
        measured = math.log2(errors[-2] / errors[-1])
        axis.loglog(STEPS, errors, marker="o", label=f"{name}: order {measured:.2f}")
        line = [errors[-1] * (STEPS[-1] / steps) ** order for steps in STEPS]
        axis.loglog(STEPS, line, color="grey", linestyle=":", linewidth=1)
        shown = ", ".join(f"{n}: {e:.1e}" for n, e in zip(STEPS, errors, strict=True))
        print(f"{name}  {shown}  order {measured:.3f}")
    axis.set(xlabel="steps", ylabel="largest error", title="Gaussian mixture, exact denoiser")
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    figure.savefig(target, dpi=110)


def differences() -> None:
    """Prints the largest difference from each of diffusers' schedulers."""
    for schedule, betas in agreement.BETAS.items():
        for name, (kind, step, config) in agreement.THEIRS.items():
            mine, other = agreement.ours(name, betas), agreement.theirs(kind, betas, step, **config)
            print(f"{schedule:24} {name:10} {(mine - other).abs().max().item():.1e}")


if __name__ == "__main__":
    orders(Path(sys.argv[1]))
    differences()
