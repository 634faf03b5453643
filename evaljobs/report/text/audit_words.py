"""Audits in words: the verdict first, then what it rests on; for the end of a run and ``results.md``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaljobs.report.audits import audits, by_verdict, of_images, of_models, verdict_of
from evaljobs.report.results import Document, Group
from evaljobs.report.tables.escape import markdown_text

# Findings that are said at the end of a run.
_MOST_LINES = 6
_SAID = {
    "leak": "LEAK",
    "suspicious": "suspicious",
    "unknown": "unknown",
    "clean": "clean",
}
_MEANING = {
    "leak": "do not believe the numbers yet",
    "suspicious": "look at it before you believe the numbers",
    "unknown": "nothing could be asked",
    "clean": "nothing was found against the numbers",
}


def headline(group: Group) -> str:
    """Say the verdict of an audit, and the worst finding."""
    verdict = verdict_of(group)
    found = by_verdict(group)
    n = sum(one["verdict"] == verdict for _, one in found)
    text = f"{_SAID[verdict].capitalize()}: {_MEANING[verdict]}"
    if verdict == "clean" or not found:
        return f"{text} ({len(found):,} findings)."
    more = f" ({n:,} findings of this kind)" if n > 1 else ""
    name, worst = next((name, one) for name, one in found if one["verdict"] == verdict)
    return f"{text}. {_of_model(name)}{worst['claim']}{more}"


def _of_model(name: str | None) -> str:
    return "" if name is None else f"{name}: "


def line(name: str | None, finding: Mapping[str, Any]) -> str:
    """Return a finding as one line: verdict, model, claim."""
    return f"{_SAID[finding['verdict']]}: {_of_model(name)}{finding['claim']}"


def audit_lines(results: Document) -> list[str]:
    """Return what audits found, for the end of a run: what is not clean, the worst first; not escaped."""
    lines = []
    for group in audits(results):
        where = f"{group.job} on {group.set}"
        bad = [(name, one) for name, one in by_verdict(group) if one["verdict"] != "clean"]
        if not bad:
            lines.append(f"{where}: {headline(group)}")
        lines += [f"{where}: {line(name, one)}" for name, one in bad[:_MOST_LINES]]
        lines += [f"  ... and {len(bad) - _MOST_LINES:,} more findings in results.md"] if bad[_MOST_LINES:] else []
    return lines


def audit_markdown(results: Document) -> list[str]:
    """Return the audits of a run in Markdown: the verdict, all findings, and the pictures."""
    return [part for group in audits(results) for part in _group_markdown(group)]


def _group_markdown(group: Group) -> list[str]:
    if of_images(group) is None and not of_models(group):
        return []
    told = [(line(name, one), one["advice"]) for name, one in by_verdict(group)]
    lines = [f"- {markdown_text(' '.join(part for part in both if part))}\n" for both in told]
    files = dict.fromkeys(
        file for entry in group.evaluations.values() for file in entry["figures"] if file.endswith(".png")
    )
    return [
        f"## Audit: {markdown_text(group.job)} on {markdown_text(group.set)}\n",
        f"{markdown_text(headline(group))}\n",
        "".join(lines),
        *(f"![{markdown_text(group.job)}]({file})\n" for file in files),
    ]
