"""Where and with what a figure was measured."""

from __future__ import annotations

import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from wg import __version__
from wg.report.record import commit_of

PACKAGES = (
    *("torch", "torchaudio", "numpy", "scipy", "librosa", "pesq", "pystoi", "pyworld"),
    *("onnxruntime", "openvino"),
)
CPU_INFO = Path("/proc/cpuinfo")


def environment(device: torch.device) -> dict[str, str]:
    """What a figure depends on besides the code: date, device, platform, versions, wg's commit."""
    found = {
        "date": date.today().isoformat(),
        "device": device_name(device),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "wg": __version__,
        "commit": commit_of(Path(__file__).resolve().parents[2]),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def device_name(device: torch.device) -> str:
    """The GPU; or the CPU and how many of its threads torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{cpu_name()}, {threads} thread{'' if threads == 1 else 's'}"


def cpu_name() -> str:
    """As the kernel calls it."""
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
