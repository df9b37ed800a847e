"""Training a whole network on pairs, epoch by epoch.

One forward pass over the pictures of a batch, each once; their scores' differences against the
labels, or what another objective asks; the best epoch by validation accuracy is kept, at equal
accuracy that of the lower validation loss. Everything drawn at random comes from the seed and the
epoch, and a checkpoint follows each epoch, so a run that was killed goes on to the same weights.
Under torchrun each process takes its share of every batch. What a network is and where pictures lie
stay out.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from i2pa.errors import FailureKind
from i2pa.training.batches import Floats, Ints, LabelledPairs
from i2pa.training.checkpoint import Checkpoint, Subject, load_checkpoint, save_checkpoint
from i2pa.training.diverged import check_loss, check_weights
from i2pa.training.fast import fast_steps
from i2pa.training.feed import Feed
from i2pa.training.missing import check_missing
from i2pa.training.objective import Network, Objective, P
from i2pa.training.pairwise import PairObjective
from i2pa.training.processes import Processes
from i2pa.training.recipes import NetworkRecipe, training_facts
from i2pa.training.validation import rate_pictures, validate


@dataclass(frozen=True)
class Epoch:
    """What was measured after an epoch; accuracies are means of users, NaN where not measured.

    That on training pairs is a mean of pairs, met on the way; where likes are learnt, of some pairs
    after the epoch. `train_loss` and `pairs_per_second` are then of posts.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_accuracy: float
    val_loss: float
    pairs_per_second: float
    rate: float


@dataclass(frozen=True)
class Fitted:
    """Every epoch's measures, which one was best, and why pictures (by row) could not be read.

    `downward` says that the best weights score the more popular picture lower.
    """

    history: tuple[Epoch, ...]
    best: int
    unreadable: dict[int, tuple[FailureKind, str]]
    downward: bool = False


Report = Callable[[int, int], None]


def fit(
    network: Network,
    pairs: LabelledPairs,
    held_out: LabelledPairs,
    feed: Feed,
    recipe: NetworkRecipe,
    folder: Path,
    *,
    processes: Processes,
    objective: Objective[Any] | None = None,
    resume: bool = False,
    allow_unreadable: bool = False,
    progress: Report | None = None,
    on_epoch: Callable[[Sequence[Epoch]], None] | None = None,
    about: Subject | None = None,
) -> Fitted:
    """Train `network` in place; it ends with the weights of the best epoch.

    `pairs` and `held_out` name pictures by their rows in `feed`. `objective` None is the pairs
    themselves, for a `PairNetwork`. Without held-out pairs the last epoch is kept. `progress` is
    told pairs (or posts) seen, and all of the run; `on_epoch`, in the first process, every epoch
    so far. `about` names what the numbers here do not tell: pictures and weights. Raises DataError
    where too many pairs lack a readable picture, ModelError where the checkpoint to go on from is
    another run's, or where a loss, a weight or a score is not finite; the checkpoint is then that
    of the last epoch in which all were.
    """
    aim: Objective[Any] = objective or PairObjective(pairs, recipe)
    about = about or Subject()
    device = processes.device
    network.to(device)
    if recipe.channels_last:
        convert_conv2d_weight_memory_format(network, torch.channels_last)
    optimizer = _optimizer(network, recipe)
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
    plan = _plan(recipe, pairs, held_out, aim, about)
    history: list[Epoch] = []
    best, best_weights = 0, _copied(network)
    found = load_checkpoint(folder, plan, about.gone) if resume else None
    if found is not None:
        network.load_state_dict(found.network)
        optimizer.load_state_dict(found.optimizer)
        scaler.load_state_dict(found.scaler)
        history = [Epoch(**row) for row in found.history]  # type: ignore[arg-type]
        best, best_weights = found.best_epoch, found.best
        feed.unreadable.update(found.left_out)
    trained = processes.shared(network)

    def scored(rows: Ints) -> Floats:
        return rate_pictures(network, feed, rows, recipe, processes, kept=len(history))[0]

    with fast_steps(network.ranker, recipe, device):
        for epoch in range(len(history) + 1, recipe.epochs + 1):
            if recipe.patience is not None and epoch - 1 - best >= recipe.patience and history:
                break
            for group in optimizer.param_groups:
                group["lr"] = group["base_rate"] * recipe.decay ** (epoch - 1)
            torch.manual_seed(_number(recipe.seed, epoch))
            _train_mode(network, recipe)
            start, seen, sums = time.perf_counter(), 0, np.zeros(3)
            batches = aim.batches(epoch, recipe.accumulate * processes.n)
            parts = _own_parts(batches, processes)
            crops = epoch if recipe.random_crop else None
            fed = feed.batches((part.images for _, part in parts), random_crop_of_epoch=crops)
            for i, ((whole, part), pictures) in enumerate(zip(parts, fed, strict=True), start=1):
                ends_batch = i % recipe.accumulate == 0
                with nullcontext() if ends_batch else processes.no_sync(trained):
                    value, counts = aim.loss(trained, part, pictures, whole)
                    step = (i - 1) // recipe.accumulate + 1
                    check_loss(value.detach(), recipe, epoch=epoch, step=step)
                    # Processes average their gradients; a batch's is their sum.
                    torch.autograd.backward(scaler.scale(value * processes.n))
                    sums += counts
                if ends_batch:
                    scaler.step(optimizer)
                    scaler.update()
                    optimizer.zero_grad(set_to_none=True)
                seen += len(part)
                if progress and processes.is_first:
                    every = (epoch - 1) * aim.size + seen * processes.n
                    progress(every, recipe.epochs * aim.size)
                _check_readable(feed, pairs, allow=allow_unreadable)
            total, right, n = processes.summed(sums).tolist()
            seconds = time.perf_counter() - start
            # Each rates some of the pictures, and all are to rate with what is kept.
            processes.share_buffers(network)
            check_weights(network, recipe, epoch=epoch)
            upward = aim.upward(scored)
            val_loss, val_accuracy = validate(scored, held_out, downward=_downward(upward))
            row = Epoch(
                epoch=epoch,
                train_loss=total / max(n, 1),
                train_accuracy=right / max(n, 1) if upward is None else max(upward, 1 - upward),
                val_accuracy=val_accuracy,
                val_loss=val_loss,
                pairs_per_second=n / seconds,
                rate=recipe.rate_head * recipe.decay ** (epoch - 1),
            )
            history.append(row)
            if not len(held_out) or not best or _is_better(row, history[best - 1]):
                best, best_weights = epoch, _copied(network)
            if processes.is_first:
                save_checkpoint(
                    Checkpoint(
                        plan=plan,
                        epoch=epoch,
                        # The same tensors are written once.
                        network=best_weights if best == epoch else _copied(network),
                        optimizer=optimizer.state_dict(),
                        scaler=scaler.state_dict(),
                        best_epoch=best,
                        best=best_weights,
                        history=[asdict(e) for e in history],
                        left_out=dict(feed.unreadable),
                        pictures=list(about.pictures),
                    ),
                    folder,
                )
                if on_epoch:
                    on_epoch(tuple(history))
    network.load_state_dict(best_weights)
    network.eval()
    downward = _downward(aim.upward(scored))
    return Fitted(tuple(history), best, dict(feed.unreadable), downward)


def _is_better(epoch: Epoch, best: Epoch) -> bool:
    """Whether an epoch is the more accurate, or as accurate at a lower validation loss."""
    return (epoch.val_accuracy, -epoch.val_loss) > (best.val_accuracy, -best.val_loss)


def _downward(upward: float | None) -> bool:
    """Whether most training pairs are right the other way round."""
    return upward is not None and upward < 0.5


def _optimizer(network: Network, recipe: NetworkRecipe) -> torch.optim.Optimizer:
    """Adam with ℓ2 in the gradient, as the paper's, the head (and what is beside it) faster."""
    slow = {id(p) for p in network.ranker.parameters()}
    for layer in (network.ranker.head, network.ranker.spread):
        slow -= {id(p) for p in layer.parameters()} if layer is not None else set()
    body = [p for p in network.parameters() if id(p) in slow and p.requires_grad]
    head = [p for p in network.parameters() if id(p) not in slow]
    groups = [(body, recipe.rate_body), (head, recipe.rate_head)]
    return torch.optim.Adam(
        [{"params": p, "lr": rate, "base_rate": rate} for p, rate in groups],
        weight_decay=recipe.l2,
        fused=True,
    )


def _train_mode(network: Network, recipe: NetworkRecipe) -> None:
    network.train()
    if recipe.freeze_norm:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _own_parts(batches: Sequence[Sequence[P]], processes: Processes) -> list[tuple[int, P]]:
    """This process's parts of every batch, beside the size of the whole batch."""
    return [
        (sum(len(part) for part in parts), mine)
        for parts in batches
        for mine in parts[processes.rank :: processes.n]
    ]


def _check_readable(feed: Feed, pairs: LabelledPairs, *, allow: bool) -> None:
    if allow or not feed.unreadable:
        return
    rows = np.array(list(feed.unreadable))
    lost = int((np.isin(pairs.winner, rows) | np.isin(pairs.loser, rows)).sum())
    check_missing(lost, len(pairs), allow=False)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _plan(
    recipe: NetworkRecipe,
    pairs: LabelledPairs,
    held_out: LabelledPairs,
    objective: Objective[Any],
    about: Subject,
) -> str:
    """SHA-256 of all that decides what a run ends with, but for the number of epochs."""
    facts, named = training_facts(recipe), [about.weights, list(about.pictures)]
    kept = [field.name for field in fields(Epoch)]
    hashed = hashlib.sha256(json.dumps([facts, named, kept], sort_keys=True).encode())
    for table in (pairs, held_out):
        for column in vars(table).values():
            hashed.update(np.ascontiguousarray(column).tobytes())
    for column in objective.columns:
        hashed.update(np.ascontiguousarray(column).tobytes())
    return hashed.hexdigest()


def _number(seed: int, epoch: int) -> int:
    """A seed for torch's own draws (dropout) of one epoch."""
    digest = hashlib.blake2b(f"{seed}/{epoch}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")
