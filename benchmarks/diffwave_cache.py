"""What caching the conditioner of DiffWave is worth: synthesis time and memory by `model.cache`.

`python benchmarks/diffwave_cache.py [RECIPE CONF [section.key=value ...]]` times the recipe's
network (random weights: speed does not depend on them) on five seconds with the recipe's
schedule, the modes in turn so that a slow moment of the machine hits all of them, and prints the
median of each. It uses the GPU where there is one.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from wg.config import load_experiment
from wg.inference.model import SamplingConfig
from wg.inference.vocoder import Vocoder
from wg.models import build_network, config_class

SECONDS = 5
ROUNDS = 3
MODES = ("none", "upsampled", "full")


def main() -> None:
    """Times each mode and checks that they agree."""
    recipe, conf, *overrides = sys.argv[1:] or ["recipes/ljspeech", "diffwave"]
    experiment = load_experiment(Path(recipe), conf, overrides, config_class)
    spec, decode = experiment.mel, experiment.decode
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    weights = build_network(experiment.model, spec).state_dict()
    torch.nn.init.normal_(weights["output.weight"], std=0.01)
    vocoders = {}
    for mode in MODES:
        model = replace(experiment.model, cache=mode)
        network = build_network(model, spec)
        network.load_state_dict(weights)
        synthesis = SamplingConfig(decode.schedule, decode.sampler, decode.clip)
        vocoders[mode] = Vocoder(network, model, spec, experiment.diffusion, synthesis).to(device)
    mel = torch.randn(spec.n_mels, SECONDS * spec.sample_rate // spec.hop_length)
    waves = {mode: vocoder(mel) for mode, vocoder in vocoders.items()}
    worst = max(float((wave - waves["none"]).abs().max()) for wave in waves.values())
    times: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(ROUNDS):
        for mode, vocoder in vocoders.items():
            started = time.perf_counter()
            vocoder(mel).cpu()
            times[mode].append(time.perf_counter() - started)
    name = (
        torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    )
    print(f"{recipe} {conf}, {decode.schedule}, {SECONDS} s, {name}; outputs differ by {worst:.1e}")
    base = statistics.median(times["none"])
    for mode in MODES:
        median = statistics.median(times[mode])
        print(f"cache {mode:9}  {median:6.2f} s  {base / median:.2f} times as fast as none")


if __name__ == "__main__":
    main()
