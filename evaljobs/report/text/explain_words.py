"""Explanations in words: what the maps of a model show, and whether they can be believed; ``results.md``."""

from __future__ import annotations

from evaljobs.report.results import Document, Group, groups_of
from evaljobs.report.tables.columns import Row
from evaljobs.report.text.sentences import first_lines, section_markdown, sentences_of

EXPLAIN = "explain"
_OF = {
    "pairs": "why the hardest impostor pairs are alike",
    "prototype": "the similarity to the mean of the label's other images",
    "predicted": "the class that is predicted",
    "label": "the class of the label",
}


def target_text(result: Document) -> str:
    """Say what the maps explain."""
    return _OF.get(result["target"]) or f"the class {result['class']}"


def sentence(row: Row) -> str:
    """Say of a model what its maps are of, and how they stand against random ones."""
    result = row["result"]
    n = result["n_images"]
    text = f"Where {row['model']['name']} looks in {n:,} image{'s' if n != 1 else ''}, for {target_text(result)}"
    found = result["faithfulness"]
    if found is None:
        return f"{text}; the maps were not checked"
    return (
        f"{text}: the area under the insertion curve is {found['insertion']:.3f}, of random maps "
        f"{found['random_insertion']:.3f}; under the deletion curve {found['deletion']:.3f}, of random maps "
        f"{found['random_deletion']:.3f}"
    )


def explain_lines(results: Document) -> list[str]:
    """Return what was explained, a line for each of the first models; not escaped."""
    return first_lines(results, EXPLAIN, sentence)


def explain_markdown(results: Document) -> list[str]:
    """Return the explanations of a run in Markdown: a sentence for each model, and the pictures."""
    return [part for group in groups_of(results, EXPLAIN) for part in _group_markdown(group)]


def _group_markdown(group: Group) -> list[str]:
    title = f"Where models look: {group.job} on {group.set}"
    return section_markdown(group, title, sentences_of(group, sentence), "Images, and where the model looks")
