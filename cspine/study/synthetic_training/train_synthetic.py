"""Training of nnU-Net's network on synthetic cases: resumable, on a CPU (bfloat16 where it is native) or on CUDA."""

from __future__ import annotations

import csv
import hashlib
import logging
import math
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.losses import DeepSupervisionLoss, DiceCELoss

from cspine.core.errors import TrainingError, UnsupportedModelError
from cspine.models.network import StateDict, load_weights
from cspine.study.synthetic_training.labelled_cases import TrainingVolumes, digest
from cspine.study.synthetic_training.patches import PatchSampler
from cspine.study.synthetic_training.pool import Pool, PoolSettings, source_checksum
from cspine.study.synthetic_training.recipe import Recipe, configuration_name, plans_json, trained_on

_log = logging.getLogger(__name__)

_SUPERVISED_LEVELS = 3
_CHECKPOINT_EVERY_S = 180.0
_LOG_EVERY = 25
_CHECKPOINT = "checkpoint.pt"
#: As it was when the learning rate began to fall.
_BEFORE_DECAY = "checkpoint-before-decay.pt"
_BATCHES_AHEAD = 3
_NEW_RUN = "Give another folder for the run, or remove its checkpoint to begin again."


@dataclass(frozen=True)
class Run:
    """One training run.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    atlas : Path
        Folder of the atlas; None for spines made of simple solids.
    folder : Path
        Checkpoint, log and pool; a run in the same folder resumes where it stopped.
    device : torch.device
        Where to train.
    anatomies : Path or None
        Folder of other people's vertebrae, for articulated necks.
    labelled : tuple of TrainingVolumes
        Cases from outside that are mixed in.
    weights : dict of str to Tensor or None
        Where a new run begins; random weights if omitted.
    """

    recipe: Recipe
    atlas: Path | None
    folder: Path
    device: torch.device
    anatomies: Path | None = None
    labelled: tuple[TrainingVolumes, ...] = ()
    weights: StateDict | None = None


@dataclass
class _State:
    network: torch.nn.Module
    average: torch.optim.swa_utils.AveragedModel
    optimizer: torch.optim.Optimizer
    iteration: int = 0
    seconds: float = 0.0


def build_network(recipe: Recipe) -> torch.nn.Module:
    """Build the network that the recipe's plans describe, with deep supervision, by nnU-Net's own function."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    architecture = plans_json(recipe)["configurations"][configuration_name(recipe)]["architecture"]
    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        len(recipe.labels.network_labels()) if recipe.cascade else 1,
        len(recipe.labels.network_labels()),
        deep_supervision=True,
    )
    assert isinstance(network, torch.nn.Module)
    return network


def train(run: Run, progress: Callable[[int, int], None]) -> tuple[dict[str, torch.Tensor], int]:
    """Train until the schedule ends.

    Parameters
    ----------
    run : Run
        What, where and how long.
    progress : callable
        Called with the number of finished iterations and of all iterations.

    Returns
    -------
    weights : dict of str to Tensor
        The averaged weights.
    iterations : int
        How many were made.

    Raises
    ------
    TrainingError
        If the loss is no longer a number, no synthetic case can be made, or the folder holds a run of another network.
    AtlasError
        If the atlas is absent or not the one that is known.
    """
    recipe = run.recipe
    torch.manual_seed(recipe.seed)
    source_checksum(run.atlas, recipe.anatomy, run.anatomies)  # what cannot be drawn is not trained
    _forget_decay(run)
    state = _start(run)
    loss_function = _loss(recipe).to(run.device)
    spacing = recipe.network.spacing
    settings = PoolSettings(
        run.atlas,
        run.folder / "pool",
        recipe.pool,
        recipe.first_seed,
        spacing[::-1],
        recipe.coarse_share,
        recipe.close_up,
        recipe.anatomy,
        run.anatomies,
        recipe.blank_share,
    )
    saved = begun = time.monotonic()
    before = state.seconds
    losses: list[float] = []
    scores: list[float] = []
    with Pool(settings) as pool:
        _log.info("waiting for the first synthetic cases")
        pool.wait_for(24)
        begun = time.monotonic()
        sampler = PatchSampler(pool, recipe, recipe.seed + state.iteration, run.labelled)
        with _prefetched(sampler) as next_batch:
            while state.iteration < recipe.iterations:
                if state.iteration == decay_start(recipe):
                    _save(run, state, _BEFORE_DECAY)
                for group in state.optimizer.param_groups:
                    group["lr"] = learning_rate(recipe, state.iteration)
                images, targets = (part.to(run.device) for part in next_batch())
                loss, score = _step(state, loss_function, images, targets)
                if not math.isfinite(loss):
                    raise TrainingError(f"the loss is {loss} at iteration {state.iteration}")
                losses.append(loss)
                scores.append(score)
                state.iteration += 1
                state.seconds = before + time.monotonic() - begun
                progress(state.iteration, recipe.iterations)
                if state.iteration % _LOG_EVERY == 0:
                    _write_log(run, state, losses, scores)
                    pool.keep_alive()
                if time.monotonic() - saved > _CHECKPOINT_EVERY_S:
                    _save(run, state)
                    saved = time.monotonic()
    if losses:
        _write_log(run, state, losses, scores)
    _save(run, state)
    return _averaged(state), state.iteration


def snapshot(run: Run) -> tuple[dict[str, torch.Tensor], int]:
    """Return the averaged weights of a run's latest checkpoint, and its iteration; the run may be in progress.

    Raises
    ------
    TrainingError
        If the folder holds no checkpoint, or one of another run.
    """
    if not (run.folder / _CHECKPOINT).is_file():
        raise TrainingError(f"no checkpoint in {run.folder}", advice="Give the folder of a run that has begun.")
    state = _start(run)
    return _averaged(state), state.iteration


def _averaged(state: _State) -> dict[str, torch.Tensor]:
    weights = state.average.module.state_dict()
    return {name: value.detach().cpu().contiguous() for name, value in weights.items()}


def decay_start(recipe: Recipe) -> int | None:
    """Return the iteration from which a constant rate falls; None where it does not, or where it falls all the time."""
    if recipe.schedule == "cosine" or not recipe.decay_iterations:
        return None
    return max(recipe.iterations - recipe.decay_iterations, 0)


def learning_rate(recipe: Recipe, iteration: int) -> float:
    """Return the rate of an iteration: a linear warm-up, then a cosine, or a constant with a linear fall at the end.

    Parameters
    ----------
    recipe : Recipe
        Schedule, warm-up and length.
    iteration : int
        The iteration, from 0.
    """
    warm = min(1.0, (iteration + 1) / max(recipe.warm_up, 1))
    if recipe.schedule == "cosine":
        falling = 0.5 * (1 + math.cos(math.pi * min(iteration / recipe.iterations, 1.0)))
    else:
        left = recipe.iterations - iteration
        falling = min(1.0, left / recipe.decay_iterations) if recipe.decay_iterations else 1.0
    return recipe.learning_rate * warm * max(falling, 1e-3)


def _loss(recipe: Recipe) -> torch.nn.Module:
    weight = torch.ones(len(recipe.labels.network_labels()))
    weight[0] = recipe.background_weight
    single = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True, weight=weight)
    loss = DeepSupervisionLoss(single, weight_mode="exp")
    assert isinstance(loss, torch.nn.Module)
    return loss


def _step(
    state: _State, loss_function: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> tuple[float, float]:
    device = images.device.type
    state.network.train()
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda" or native_bfloat16()):
        outputs = state.network(images)
    outputs = [output.float() for output in outputs[:_SUPERVISED_LEVELS]]
    loss = loss_function(outputs, targets)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 12.0)
    state.optimizer.step()
    state.average.update_parameters(state.network)
    with torch.no_grad():
        dice = _dice(outputs[0].argmax(1), targets[:, 0].long(), outputs[0].shape[1])
    return float(loss.detach()), dice


def _dice(predicted: torch.Tensor, wanted: torch.Tensor, classes: int) -> float:
    """Return the mean Dice of the classes that either has, without background, over a batch of labels."""
    pairs = torch.bincount((wanted * classes + predicted).flatten(), minlength=classes**2).view(classes, classes)
    total = (pairs.sum(0) + pairs.sum(1))[1:]
    dice = 2 * pairs.diagonal()[1:] / total
    return float(dice[total > 0].mean()) if bool((total > 0).any()) else math.nan


def native_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 by itself (AVX512-BF16 or AMX), where it is the faster type."""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def _prefetched(sampler: PatchSampler) -> Iterator[Callable[[], tuple[torch.Tensor, torch.Tensor]]]:
    """Prepare batches in a thread, a few ahead; what fails there is raised where the batch is asked for."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        ahead = deque(executor.submit(sampler.batch) for _ in range(_BATCHES_AHEAD))

        def next_batch() -> tuple[torch.Tensor, torch.Tensor]:
            ahead.append(executor.submit(sampler.batch))
            return ahead.popleft().result()

        try:
            yield next_batch
        finally:
            executor.shutdown(cancel_futures=True)


def _start(run: Run) -> _State:
    recipe = run.recipe
    run.folder.mkdir(parents=True, exist_ok=True)
    network = build_network(recipe)
    if run.weights is not None:
        try:
            load_weights(network, run.weights)
        except UnsupportedModelError as error:
            raise TrainingError(
                f"the weights to start from do not fit the recipe: {error.message}",
                advice="Start from a model whose stage has the recipe's network.",
            ) from error
    # oneDNN computes the gradients of small 3-D convolutions some 10 to 25 % faster with the channels last.
    network = network.to(run.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema_decay)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    state = _State(network, average, optimizer)
    saved = _read_checkpoint(run, _CHECKPOINT)
    if saved is not None:
        network.load_state_dict(saved["network"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        state.iteration, state.seconds = saved["iteration"], saved["seconds"]
        _log.info("resuming from iteration %d", state.iteration)
    return state


def _forget_decay(run: Run) -> None:
    """Reset a run that is to last longer than before to where its rate had not begun to fall."""
    saved, begins = _read_checkpoint(run, _BEFORE_DECAY), decay_start(run.recipe)
    if saved is not None and (begins is None or saved["iteration"] < begins):
        (run.folder / _BEFORE_DECAY).replace(run.folder / _CHECKPOINT)


def _read_checkpoint(run: Run, name: str) -> dict[str, Any] | None:
    """Return a checkpoint of the run's folder, None where there is none."""
    path = run.folder / name
    if not path.is_file():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, map_location=run.device, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"the checkpoint in {run.folder} cannot be read", advice=_NEW_RUN) from error
    if saved.get("trained_on") != _trained_on(run):
        raise TrainingError(
            f"{run.folder} holds a run of another network, recipe, start or set of labelled cases", advice=_NEW_RUN
        )
    return saved


def _trained_on(run: Run) -> str:
    start = hashlib.sha256()
    for name, value in sorted((run.weights or {}).items()):
        start.update(name.encode())
        start.update(value.float().numpy().tobytes())
    return f"{trained_on(run.recipe)} labelled {digest(list(run.labelled))} start {start.hexdigest()}"


def _save(run: Run, state: _State, name: str = _CHECKPOINT) -> None:
    path = run.folder / name
    partial = path.with_suffix(".partial")
    saved = {
        "trained_on": _trained_on(run),
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "iteration": state.iteration,
        "seconds": state.seconds,
    }
    torch.save(saved, partial)
    partial.replace(path)


def _write_log(run: Run, state: _State, losses: list[float], scores: list[float]) -> None:
    path = run.folder / "log.csv"
    new = not path.is_file()
    loss, score = sum(losses) / len(losses), sum(scores) / len(scores)
    rate = state.optimizer.param_groups[0]["lr"]
    with path.open("a", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        if new:
            writer.writerow(["iteration", "minutes", "loss", "dice", "learning_rate"])
        row = [f"{state.seconds / 60:.2f}", f"{loss:.4f}", f"{score:.4f}", f"{rate:.3g}"]
        writer.writerow([state.iteration, *row])
    _log.info("iteration %d: loss %.3f, Dice of the patches %.3f", state.iteration, loss, score)
    losses.clear()
    scores.clear()
