"""Kinds of job that are told in a sentence for each model and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evaljobs.report.results import OK, Document, Group, groups_of
from evaljobs.report.tables.columns import Row
from evaljobs.report.tables.escape import markdown_text

_MOST_LINES = 5


def sentences_of(group: Group, sentence: Callable[[Row], str]) -> dict[str, str]:
    """Return a sentence by model, for those that have a result."""
    fine = {name: entry["result"] for name, entry in group.evaluations.items() if entry["status"] == OK}
    return {name: sentence({"model": {"name": name}, "result": result}) for name, result in fine.items()}


def first_lines(results: Document, kind: str, sentence: Callable[[Row], str]) -> list[str]:
    """Return what the jobs of a kind found, a line for each of the first models of a job; not escaped."""
    return [
        f"{group.job} on {group.set}: {line}"
        for group in groups_of(results, kind)
        for line in list(sentences_of(group, sentence).values())[:_MOST_LINES]
    ]


def section_markdown(group: Group, title: str, sentences: Mapping[str, str], alt: str) -> list[str]:
    """Return the sentences under a title, and the pictures of their models; nothing where there are none."""
    if not sentences:
        return []
    figures = (file for name in sentences for file in group.evaluations[name]["figures"])
    files = dict.fromkeys(file for file in figures if file.endswith(".png"))
    return [
        f"## {markdown_text(title)}\n",
        "".join(f"- {markdown_text(line)}.\n" for line in sentences.values()),
        *(f"![{alt}]({file})\n" for file in files),
    ]
