"""The card of a trained model, filled from what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from i2pa.models.backbones import RANDOM
from i2pa.training.curves import CURVES_FILE
from i2pa.training.features import FROM_RANDOM_WEIGHTS
from i2pa.training.measure import Evaluation
from i2pa.training.recipes import PAIRS_ONLY, NetworkRecipe, trains_pairs
from i2pa.training.trained import TrainedModel
from i2pa.words import many

_PICTURES_SHOWN = 5


def model_card(model: TrainedModel, sha256: str, inputs: Mapping[str, str]) -> str:
    """Markdown: what it learnt from and how, its accuracy beside the baselines, scale and limits.

    `sha256` is the model file's; `inputs` are the SHA-256 of the pair files by name.
    """
    lines: list[str] = []
    seen = "it" if model.shared_users else "its user or, if graded, its pictures"
    unseen = f"No pair was scored by a model trained on {seen}."
    if any(shared.pictures for shared in model.shared_users):
        unseen = "Some pairs were scored by a model trained on their pictures, as named below."
    timed = ""
    if any(evaluation.time is not None for evaluation in model.evaluations):
        timed = (
            " What order, gap, hour and weekday say is fitted to the other users of the same list."
        )
    if model.weights.origin == RANDOM:
        lines += [f"**WARNING: this model {FROM_RANDOM_WEIGHTS}.**", ""]
    lines += [
        f"# {model.metadata.tag}",
        "",
        f"- SHA-256 of the model file: {sha256}",
        f"- Licence of the weights: {model.metadata.licenses}",
        "",
        "## What it learnt from",
        "",
        *_data(model, inputs),
        "",
        "## How it was trained",
        "",
        *_training(model),
        "",
        "## Pairwise accuracy",
        "",
        "With 95 % intervals from 2,000 bootstrap draws over users (over pictures for graded sets, "
        f"users 0). {unseen} Read the model's beside the "
        f"other rows of the same pairs, not beside 50 %.{timed}",
        "",
        *(line for shared in model.shared_users for line in (f"**{shared.warning}.**", "")),
        *evaluation_table(model.evaluations),
        "",
        *_left_out(model),
        *(
            ["## Likes predicted", "", *(f"- {note}." for note in model.likes.notes), ""]
            if model.likes
            else []
        ),
        "## What a score means",
        "",
        *_scale(model),
        "",
        "## What this card does not show",
        "",
        *_limits(model),
    ]
    return "\n".join(lines) + "\n"


def evaluation_table(evaluations: tuple[Evaluation, ...]) -> Iterator[str]:
    """Lines of a Markdown table: a row a list of pairs and scorer."""
    yield "| pairs | scorer | n / users | pooled | mean of users |"
    yield "|---|---|---|---|---|"
    for evaluation in evaluations:
        pairs = in_a_cell(evaluation.pairs)
        scorers = (
            ("model", evaluation.model),
            ("later wins", evaluation.later_wins),
            ("order, gap, hour, weekday", evaluation.time),
            ("brightness, colourfulness", evaluation.properties),
        )
        for name, accuracy in scorers:
            if accuracy is not None:
                yield (
                    f"| {pairs} | {name} | {accuracy.pairs:,} / {accuracy.users:,} "
                    f"| {accuracy.pooled} | {accuracy.mean_of_users} |"
                )


def in_a_cell(name: str) -> str:
    """A name in a cell of a Markdown table."""
    return name.replace("|", "\\|")


def _data(model: TrainedModel, inputs: Mapping[str, str]) -> Iterator[str]:
    lost = many(model.pairs_without_picture, "more pair")
    yield f"{model.learnt_from}; {lost} had no readable picture."
    yield ""
    if inputs:
        yield "| file of pairs | SHA-256 |"
        yield "|---|---|"
        for name, digest in inputs.items():
            yield f"| {in_a_cell(name)} | {digest} |"
    else:
        yield "The files that the pairs came from, if any, were not told."
    yield ""
    yield from _unreadable(model)
    rules = ", ".join(model.data.rules_sha256) or "not recorded in the pairs"
    yield f"Hash of the rules that made the pairs (`rules_sha256`): {rules}."


def _unreadable(model: TrainedModel) -> Iterator[str]:
    """The first pictures that could not be used, and why; `run.json` lists all."""
    if not model.unreadable:
        return
    yield f"{many(len(model.unreadable), 'picture')} could not be read:"
    yield ""
    for picture in model.unreadable[:_PICTURES_SHOWN]:
        # Names and reasons quote what strangers wrote.
        text = " ".join(f"{picture.path}: {picture.reason}".split()).replace("`", "'")
        yield f"- `{text}`"
    if (more := len(model.unreadable) - _PICTURES_SHOWN) > 0:
        yield f"- and {more:,} more, in `run.json`"
    yield ""


def _left_out(model: TrainedModel) -> Iterator[str]:
    """How many pairs of the lists that were measured or calibrated on lack a picture."""
    if model.measured_without_picture:
        counts = (f"{many(n, 'pair')} of {at}" for at, n in model.measured_without_picture.items())
        yield f"Left out, as no picture could be read: {', '.join(counts)}."
        yield ""


def _training(model: TrainedModel) -> Iterator[str]:
    weights, recipe = model.weights, model.recipe
    yield f"- Backbone: {weights.label}; weights: {weights.origin}"
    yield f"- SHA-256 of these weights: {weights.sha256 or 'none, they are random numbers'}"
    yield f"- Kept: {model.chosen}"
    if isinstance(recipe, NetworkRecipe):
        if model.best_epoch is not None:
            best = model.epochs[model.best_epoch - 1]
            yield (
                f"- In that epoch: training loss {best.train_loss:.4f}, accuracy on training pairs "
                f"{best.train_accuracy:.3f}, on validation pairs {best.val_accuracy:.3f}"
            )
        yield f"- ℓ2 of all weights, in Adam's gradient: {recipe.l2:g}"
    if recipe.flip_labels:
        n = model.data.pairs
        yield (
            f"- **{100 * recipe.flip_labels:g} % of the training labels were turned round.** "
            f"{round(recipe.flip_labels * n):,} of {many(n, 'pair')}; parts held out kept theirs, "
            "cross-validation among the training pairs has the turned ones."
        )
    yield ""
    yield f"![Course of the training]({CURVES_FILE})"
    yield ""
    yield f"| recipe {recipe.name} | |"
    yield "|---|---|"
    unused = {"name"} if trains_pairs(recipe) else {"name", *PAIRS_ONLY}
    for name, value in dataclasses.asdict(recipe).items():
        if name in unused:
            continue
        if name == "pixel_scaling" and value is None:
            yield f"| {name} | {weights.pixel_scaling}, the backbone's default |"
        else:
            # `--folds` is about others: those that judge a recipe.
            yield f"| {'folds that choose ℓ2' if name == 'folds' else name} | {_words(value)} |"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "not set" if value is None else str(value)


def _scale(model: TrainedModel) -> Iterator[str]:
    calibration = model.calibration
    yield (
        "Higher is better; a score has no zero and no unit. Percentiles refer to: "
        f"{model.metadata.reference.name}."
    )
    scale = f"{calibration.temperature:.3g}"
    formula = (
        f"Φ((score A - score B) / √(s_A² + s_B²) / {scale}), s the spread of each score"
        if model.metadata.link == "thurstone"
        else f"sigmoid((score A - score B) / {scale})"
    )
    yield (
        f"P(A beats B) = {formula}, fitted on "
        f"{many(calibration.pairs, 'pair')} of {many(calibration.users, 'user')}: log loss "
        f"{calibration.log_loss:.3f} nats, where a coin costs .693 and perfect knowledge of the "
        f"soft labels {calibration.log_loss_of_labels:.3f}."
    )


def _limits(model: TrainedModel) -> Iterator[str]:
    yield (
        "- How it does on other people's pictures, another platform or another time: it was "
        "measured on the pairs above only."
    )
    yield (
        "- That it looks at what you mean. Likes follow faces, places and fashions, and whatever "
        "else went with them in these pairs; `i2pa audit` asks what could be guessed without "
        "looking."
    )
    yield (
        "- That a difference is more than chance: where intervals overlap, more users are needed. "
        "Under about ten users an interval is too narrow to be trusted."
    )
    if model.epochs:
        yield (
            "- An accuracy on `val` that is free of choices: the epoch was chosen there, which "
            "flatters a little."
        )
    elif len(model.grid) > 1:
        yield (
            "- A cross-validated accuracy that is free of choices: ℓ2 was chosen on the same "
            "folds, which flatters a little."
        )
