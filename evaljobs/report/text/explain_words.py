"""Explanations in words: what the maps of a model show, and whether they can be believed; ``results.md``."""

from __future__ import annotations

from evaljobs.report.results import OK, Document, Group, groups_of
from evaljobs.report.tables.columns import Row
from evaljobs.report.tables.escape import markdown_text

EXPLAIN = "explain"
_MOST_LINES = 5
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
    return [
        f"{group.job} on {group.set}: {line}"
        for group in groups_of(results, EXPLAIN)
        for line in list(_sentences(group).values())[:_MOST_LINES]
    ]


def explain_markdown(results: Document) -> list[str]:
    """Return the explanations of a run in Markdown: a sentence for each model, and the pictures."""
    return [part for group in groups_of(results, EXPLAIN) for part in _group_markdown(group)]


def _group_markdown(group: Group) -> list[str]:
    lines = _sentences(group)
    if not lines:
        return []
    figures = (file for name in lines for file in group.evaluations[name]["figures"])
    files = dict.fromkeys(file for file in figures if file.endswith(".png"))
    return [
        f"## {markdown_text(f'Where models look: {group.job} on {group.set}')}\n",
        "".join(f"- {markdown_text(line)}.\n" for line in lines.values()),
        *(f"![Images, and where the model looks]({file})\n" for file in files),
    ]


def _sentences(group: Group) -> dict[str, str]:
    """Return a sentence by model, for those that were explained."""
    fine = {name: entry["result"] for name, entry in group.evaluations.items() if entry["status"] == OK}
    return {name: sentence({"model": {"name": name}, "result": result}) for name, result in fine.items()}
