"""Maps in words: how many images are shown of how many, and what lies near each other; ``results.md``."""

from __future__ import annotations

from evaljobs.report.results import Document, Group, groups_of
from evaljobs.report.tables.columns import Row
from evaljobs.report.text.sentences import first_lines, section_markdown, sentences_of

_HOW = {
    "all": "all of them",
    "labels": "labels alike, chosen by a hash of the image",
    "random": "each with the same chance, chosen by a hash of the image",
}


def shown_text(result: Document) -> str:
    """Say how many images are shown of how many, and how they were chosen."""
    n, of = result["n_shown"], result["n_samples"]
    if n == of:
        return f"All {n:,} images" if n > 1 else "The only image"
    return f"{n:,} of {of:,} images ({_HOW[result['sampling']]})"


def sentence(row: Row) -> str:
    """Say of a model that was mapped how often the nearest image has the same label."""
    result = row["result"]
    text = f"{shown_text(result)} as {row['model']['name']} sees them"
    same, chance = result["nearest_same_label"], result["nearest_same_label_by_chance"]
    if same is None or chance is None:
        return text
    return f"{text}: the nearest image has the same label for {same:.1%} of them, {chance:.1%} of pairs have"


def map_lines(results: Document) -> list[str]:
    """Return what maps show, a line for each of the first models; not escaped."""
    return first_lines(results, "map", sentence)


def map_markdown(results: Document) -> list[str]:
    """Return the maps of a run in Markdown: a sentence for each model, and the pictures."""
    return [part for group in groups_of(results, "map") for part in _group_markdown(group)]


def _group_markdown(group: Group) -> list[str]:
    title = f"Map: {group.job} on {group.set}"
    return section_markdown(
        group, title, sentences_of(group, sentence), "Images in the plane, near each other where embeddings are similar"
    )
