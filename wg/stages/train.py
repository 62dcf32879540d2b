"""Stage 4, train: Lightning training, resumed where it stopped."""

from __future__ import annotations

import importlib.util
import netrc
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from wg.config import (
    Experiment,
    TrainConfig,
    flatten,
    load_experiment_file,
    save_experiment,
    to_dict,
)
from wg.data.tars import Tars
from wg.errors import InputError, Stopped
from wg.files import free_aside, keep_aside, own, write_bytes
from wg.inference.checkpoint import FREE, find_checkpoint
from wg.inference.pretrained import local_folder
from wg.models import build_network, config_class
from wg.processes.launch import LAUNCHER, place, wait_for_all
from wg.stages.stage import Stage, changes, relaunch
from wg.stages.starting import begin, open_start
from wg.tasks.context import STAMP, Context, read_stamp, stream_of
from wg.tasks.registry import task_of

FEATURES = "features.txt"  # in exp: the digest of what the run was trained on
# A change of these continues a run; a change of anything else below `keys` starts a new one.
CONTINUES = (
    "train.max_steps",
    "train.strategy",
    "train.processes",
    "train.timeout",
    "train.compile",
    "train.workers",
    "train.keep",
    "train.log_every",
    "train.sample_every",
    "train.sample_utterances",
    "train.loggers",
    "train.wandb_project",
    "train.wandb_mode",
    "train.max_loss",
    "train.valid_every",
    "train.valid_utterances",
    "train.valid_levels",
    *(f"model.{key}" for key in FREE),
)


def set_changed_run_aside(context: Context) -> None:
    """Moves a run of other settings away, and says which differ; nothing is lost."""
    different = changed_since(context)
    if different:
        print("changed since this model was trained: " + "; ".join(different))
        print(f"the run before is kept in {keep_aside(context.exp)}")


def changed_settings(context: Context) -> list[str]:
    """The settings that make the run in exp one of another model; none where no run is there."""
    stored = context.exp / "config.yaml"
    if not stored.is_file():
        return []
    before = flatten(to_dict(load_experiment_file(stored, config_class)))
    now = flatten(to_dict(context.experiment))
    sections = tuple(f"{section}." for section in STAGE.keys)
    free = {*CONTINUES, *context.experiment.model.unread}
    return changes(
        {k: v for k, v in before.items() if k.startswith(sections) and k not in free},
        {k: v for k, v in now.items() if k.startswith(sections) and k not in free},
    )


def changed_since(context: Context) -> list[str]:
    """What makes the run in exp one of another model; nothing where none is there."""
    if not (context.exp / "config.yaml").is_file():
        return []
    different = changed_settings(context)
    made_of = context.exp / FEATURES
    features = features_digest(context)
    remade = features is not None and made_of.is_file() and made_of.read_text("utf-8") != features
    if remade and not different:
        # Going on would train on what may be test clips of the new splits.
        different.append("the features: made of another corpus or other splits")
    return different


def features_digest(context: Context) -> str | None:
    """Digest of the finished features, corpus and splits included, and of what is spoken."""
    stamps = [read_stamp(context.dump / STAMP.format(name="features"))]
    stamps += [
        read_stamp(context.phonemes / STAMP.format(name=name)) for name in task_of(context).needs
    ]
    return " ".join(stamp["digest"] for stamp in stamps if stamp) or None


def check(context: Context) -> None:
    """InputError for missing devices, an indivisible batch, or weights that do not fit.

    Also for a run of other settings of which none was asked for: nobody retrains by forgetting an
    override.
    """
    context.devices.check()
    check_asked(context)
    check_loggers(context.experiment.train)
    processes, started = count_processes(context), place().world
    if started not in (1, processes):
        raise InputError(
            f"{started} processes were started, --nodes {context.devices.nodes} with --ngpu "
            f"{context.devices.gpus} and train.processes={context.experiment.train.processes} are "
            f"{processes}; start a task a GPU, or set train.processes to the tasks of a machine"
        )
    if processes > 1:
        from wg.training.trainer import check_divisible

        check_divisible(context.experiment, processes)
    check_memory(context.experiment)
    if context.experiment.features.stream:
        task_of(context).check_stream(context)
    source = context.experiment.train.init_from
    if source is not None and not goes_on(context):
        open_start(context.experiment)
        if context.exp.resolve() in local_folder(source).resolve().parents:
            raise InputError(
                f"train.init_from: {source} lies in {context.exp}, which this run writes to; copy "
                "it elsewhere, or train by another --model"
            )


def opened_stream(context: Context) -> Tars:
    """The tars of `features.stream`; InputError for those of other features than the run's."""
    tars, stamp = stream_of(context), read_stamp(context.dump / STAMP.format(name="features"))
    if stamp is not None and stamp["digest"] != tars.features:
        raise InputError(
            f"features.stream: {tars.place} was not made of {context.dump} as it is now; write the "
            "tars again by wg tars"
        )
    return tars


def check_memory(experiment: Experiment) -> None:
    """InputError for a network or a batch that this machine's memory cannot hold.

    Weights, gradients and two moments, and the average of the weights, are 20 bytes a parameter;
    a batch is at least its audio and its noise.
    """
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    train = experiment.train
    batch = 8 * train.batch_size * train.segment_samples
    if batch > memory:
        raise InputError(
            f"train.batch_size {train.batch_size} of train.segment_samples "
            f"{train.segment_samples} are {batch / 2**30:.0f} GiB, this machine has "
            f"{memory / 2**30:.0f}; give smaller ones"
        )
    if experiment.model.unread:
        return  # its size is known later
    with torch.device("meta"):
        network = build_network(experiment.model, experiment.mel, experiment.diffusion)
    count = sum(parameter.numel() for parameter in network.parameters())
    if 20 * count > memory:
        raise InputError(
            f"model: {count:,} parameters take {20 * count / 2**30:.0f} GiB in training, this "
            f"machine has {memory / 2**30:.0f}; give fewer layers or channels"
        )


def check_asked(context: Context) -> None:
    """InputError where all that differs from the run in exp was left out of this command."""
    from wg.training.resume import checkpoints_in

    if context.restart or not checkpoints_in(context.exp / "checkpoints"):
        return
    different = changed_settings(context)
    keys = [line.partition(":")[0] for line in different]
    if keys and not any(item.startswith(f"{key}=") for item in context.overrides for key in keys):
        raise InputError(
            f"{context.exp} was trained with other settings than this command's: "
            f"{'; '.join(different)}; give those it was trained with, or --restart to train anew "
            f"(that run then goes to {free_aside(context.exp).name})"
        )


def plan(context: Context) -> list[str]:
    """What training would do to the run that is there."""
    from wg.training.resume import checkpoints_in

    if not checkpoints_in(context.exp / "checkpoints"):
        return []
    if goes_on(context):
        return ["goes on from its last checkpoint"]
    return [f"starts anew; the run before goes to {free_aside(context.exp)}"]


def goes_on(context: Context) -> bool:
    """Whether training goes on from a checkpoint of its own."""
    from wg.training.resume import checkpoints_in

    there = checkpoints_in(context.exp / "checkpoints")
    return bool(there) and not context.restart and not changed_since(context)


def check_loggers(train: TrainConfig) -> None:
    """InputError for a logger that is not installed, or that has no account to write to."""
    for name in train.loggers:
        if importlib.util.find_spec(name) is None:
            raise InputError(f"train.loggers: {name} is not installed; pip install {name}")
    mode = os.environ.get("WANDB_MODE", train.wandb_mode)
    if "wandb" not in train.loggers or mode != "online" or os.environ.get("WANDB_API_KEY"):
        return
    url = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    try:
        known = netrc.netrc().authenticators(urlsplit(url).hostname or "")
    except (OSError, netrc.NetrcParseError):
        known = None
    if known is None:
        raise InputError(
            f"train.loggers: wandb has no key for {url}; run wandb login, set WANDB_API_KEY, or "
            "give train.wandb_mode=offline"
        )


def count_processes(context: Context) -> int:
    """Processes that train, on all machines."""
    devices = context.devices
    return (devices.gpus or context.experiment.train.processes) * devices.nodes


def check_done(context: Context) -> None:
    """Stopped unless the processes that torchrun ran have come to the last step."""
    from wg.training.resume import step_of

    step, steps = step_of(context.exp / "checkpoints"), context.experiment.train.max_steps
    if step < steps:
        raise Stopped(f"training stopped at step {step} of {steps}; run the same command to go on")


def run(context: Context) -> Mapping[str, Any]:
    """Trains in this process, or in one process a device through torchrun."""
    from lightning import seed_everything

    task = task_of(context)
    context = task.resolved(context)
    experiment, devices = context.experiment, context.devices
    streamed = experiment.features.stream
    train = opened_stream(context) if streamed else task.dump(context, "train")
    dumps = train, task.dump(context, "valid")
    task.check_training(context)
    from wg.training.modules import build_module
    from wg.training.trainer import fit

    seed_everything(experiment.train.seed, verbose=False)
    module = build_module(experiment)  # what it refuses, it refuses before a run is set aside
    # Of several machines' first processes none knows which it is; those of torchrun do.
    if place().rank == 0 and (devices.nodes == 1 or place().world > 1):
        if context.restart and context.exp.exists():
            print(f"--restart: the run before is kept in {keep_aside(context.exp)}")
        set_changed_run_aside(context)
        own(context.exp, later=("*",))
        save_experiment(experiment, context.exp / "config.yaml")
        write_bytes(context.exp / FEATURES, (features_digest(context) or "").encode())
    if count_processes(context) > 1 and place().world == 1:
        relaunch(context, STAGE.name, devices.gpus or experiment.train.processes)
        check_done(context)
    else:
        if devices.nodes > 1:
            wait_for_all(experiment.train.timeout)
        begin(module, dumps[0], context.exp)
        count = sum(parameter.numel() for parameter in module.parameters())
        print(f"{experiment.model.name}: {count:,} parameters", flush=True)
        try:
            fit(experiment, module, dumps, context.exp, devices)
        except SystemExit:  # Lightning's answer to SIGINT
            raise KeyboardInterrupt from None
        except Stopped:
            if LAUNCHER not in os.environ:
                raise
            return {}  # the process that started torchrun sees, and says, how far it is
    best = find_checkpoint(context.exp, "best")
    return {"checkpoint": best.name}


STAGE = Stage(
    name="train",
    summary="training with Lightning, resumed where it stopped",
    keys=("mel", "model", "diffusion", "train"),
    needs=("features",),
    further=lambda context: task_of(context).needs,
    output=lambda context: context.exp,
    run=run,
    check=check,
    plan=plan,
    free_keys=tuple(key for key in CONTINUES if key != "train.max_steps"),
)
