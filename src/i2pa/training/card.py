"""The card of a trained model, filled from what was measured."""

from __future__ import annotations

from collections.abc import Iterator

from i2pa.training.measure import Evaluation
from i2pa.training.trained import TrainedModel


def model_card(model: TrainedModel, sha256: str) -> str:
    """Markdown: what it learnt from, its accuracy beside the baselines, its scale, its limits."""
    metadata, calibration = model.metadata, model.calibration
    lines = [
        f"# {metadata.tag}",
        "",
        f"- Learnt from {model.learnt_from}; {model.pairs_without_picture:,} more pairs had no "
        "readable picture.",
        f"- Recipe {model.recipe.name}: {model.weights.label}, {model.recipe.transform}, "
        f"{model.chosen}.",
        f"- SHA-256 {sha256}",
        f"- Licence of the weights: {metadata.licenses}",
        "",
        "## Pairwise accuracy",
        "",
        "With 95 % intervals from 2,000 bootstrap draws over users (over pictures for graded sets, "
        "users 0). No pair was scored by a model trained on its user or, if graded, its pictures.",
        "",
        *evaluation_table(model.evaluations),
        "",
        *(
            ["## Likes predicted", "", *(f"- {note}." for note in model.likes.notes), ""]
            if model.likes
            else []
        ),
        "## What a score means",
        "",
        "Higher is better; a score has no zero and no unit. Percentiles refer to: "
        f"{metadata.reference.name}.",
        f"P(A beats B) = sigmoid((score A - score B) / {calibration.temperature:.3g}), fitted on "
        f"{calibration.pairs:,} pairs of {calibration.users:,} users: log loss "
        f"{calibration.log_loss:.3f} nats, where a coin costs .693 and perfect knowledge of the "
        f"soft labels {calibration.log_loss_of_labels:.3f}.",
    ]
    return "\n".join(lines) + "\n"


def evaluation_table(evaluations: tuple[Evaluation, ...]) -> Iterator[str]:
    """Lines of a Markdown table: a row a list of pairs and scorer."""
    yield "| pairs | scorer | n / users | pooled | mean of users |"
    yield "|---|---|---|---|---|"
    for evaluation in evaluations:
        scorers = (
            ("model", evaluation.model),
            ("later wins", evaluation.later_wins),
            ("brightness, colourfulness", evaluation.properties),
        )
        for name, accuracy in scorers:
            if accuracy is not None:
                yield (
                    f"| {evaluation.pairs} | {name} | {accuracy.pairs:,} / {accuracy.users:,} "
                    f"| {accuracy.pooled} | {accuracy.mean_of_users} |"
                )
