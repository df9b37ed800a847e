"""The card of a personal model, filled from what was measured."""

from __future__ import annotations

from collections.abc import Iterator

from i2pa.personal.taste import PersonalTaste


def taste_card(taste: PersonalTaste, sha256: str) -> str:
    """Markdown: the verdict, what it learnt from, accuracy beside the base model's, and limits.

    `sha256` is the model file's.
    """
    lines = [
        f"# {taste.metadata.tag}",
        "",
        f"**{taste.says[0].upper()}{taste.says[1:]}.**",
        "",
        f"- SHA-256 of the model file: {sha256}",
        f"- Licence of the weights: {taste.metadata.licenses}",
        "",
        "## What it learnt from",
        "",
        *_data(taste),
        "",
        "## What it adds",
        "",
        *gain_table(taste),
        "",
        *_how(taste),
        "",
        "## What a score means",
        "",
        *_scale(taste),
        "",
        "## What this card does not show",
        "",
        *_limits(taste),
    ]
    return "\n".join(lines) + "\n"


def gain_table(taste: PersonalTaste) -> Iterator[str]:
    """Lines of a Markdown table: a row a scorer, of the same pairs."""
    gain = taste.gain
    yield f"| of {gain.pairs:,} pairs of {gain.pictures:,} pictures | share right | log loss |"
    yield "|---|---|---|"
    yield f"| {taste.metadata.tag} | {gain.taste} | {gain.log_loss_taste:.3f} |"
    yield f"| {taste.base.tag} | {gain.base} | {gain.log_loss_base:.3f} |"
    yield f"| gain | {gain.gain} | |"


def _data(taste: PersonalTaste) -> Iterator[str]:
    yield (
        f"{taste.learnt_from}, in {taste.groups:,} groups of look-alikes, bursts or sessions; "
        f"{taste.pairs:,} pairs: {taste.pairing}."
    )
    yield ""
    yield f"- Base model: {taste.base.tag}, SHA-256 {taste.base.sha256}"
    yield from (f"- SHA-256 of {name}: {digest}" for name, digest in taste.inputs.items())
    yield from (f"- {note}" for note in taste.notes)
    if taste.failures:
        yield f"- {len(taste.failures):,} pictures could not be read"


def _how(taste: PersonalTaste) -> Iterator[str]:
    gain = taste.gain
    yield (
        "Each pair was scored by heads that saw neither picture, nor one of their groups; the "
        "prior was chosen without them, too. Intervals are of 95 %, from 2,000 bootstrap draws "
        f"over {gain.groups:,} groups. Of these pairs {taste.metadata.tag} alone has "
        f"{gain.only_taste:,.0f} right, {taste.base.tag} alone {gain.only_base:,.0f}. Log loss is "
        "in nats, each at its own temperature; a coin costs .693."
    )
    yield ""
    yield "| prior spread | log loss | behind the best | standard error of that |"
    yield "|---|---|---|---|"
    for row in sorted(taste.tried, key=lambda row: row.spread):
        kept = " (kept)" if row.spread == taste.spread else ""
        yield f"| {row.spread:g}{kept} | {row.log_loss:.4f} | {row.behind:.4f} | {row.error:.4f} |"
    yield ""
    yield (
        f"The score of {taste.base.tag}, in logits, counts {taste.base_weight:.2f} times in the "
        "head; the rest of the head is the taste."
    )


def _scale(taste: PersonalTaste) -> Iterator[str]:
    yield (
        "Higher is better; a score has no zero and no unit, and is on another scale than "
        f"{taste.base.tag}'s. Percentiles refer to: {taste.metadata.reference.name}."
    )
    better = (
        "you would keep A" if taste.source == "keeps and rejects" else f"A gets more {taste.source}"
    )
    yield (
        f"P(A beats B), the chance that {better}, = sigmoid((score A - score B) / "
        f"{taste.scale.temperature:.3g}), fitted out of fold on {taste.scale.pairs:,} pairs: log "
        f"loss {taste.scale.log_loss:.3f} nats."
    )


def _limits(taste: PersonalTaste) -> Iterator[str]:
    yield "- How it does on pictures of another kind, or of another time, than those above."
    yield "- What others like: it is one person's."
    if taste.source == "keeps and rejects":
        yield (
            "- Why a picture was kept. If the rejects are of other places, people or cameras than "
            "the keeps, it may have learnt those."
        )
    else:
        yield (
            f"- A taste alone. {taste.source.capitalize()} also follow the hour, the caption and "
            "how many followed at the time."
        )
    if taste.verdict != "adds":
        yield "- **That it is better than the model underneath: see the first line.**"
