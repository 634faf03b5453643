"""Classes with a single image, and sets of which one class is most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from evaljobs.audit.finding import Checked, Finding, Verdict
from evaljobs.audit.words import counted, share, some

CHECK = "classes"
# From here on one class is most of what a mean over images, or over genuine pairs, says.
MOST = 0.5
_NAMED = 10


def check_classes(labels: Sequence[str]) -> Checked:
    """Find classes with one image, and sets of which one class is most.

    Parameters
    ----------
    labels
        ``n`` texts.

    Returns
    -------
    A finding on single images and one on skew; table ``classes``: ``label``, ``n``, largest first.
    """
    counts = Counter(labels)
    sizes = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    table = pa.table(
        {
            "label": pa.array([label for label, _ in sizes], pa.string()),
            "n": pa.array([n for _, n in sizes], pa.int64()),
        }
    )
    return Checked((_single(sizes), _skew(sizes)), {"classes": table})


def _single(sizes: Sequence[tuple[str, int]]) -> Finding:
    alone = [label for label, n in sizes if n == 1]
    evidence = {"n_labels": len(sizes), "n_labels_with_one_image": len(alone), "first": alone[:_NAMED]}
    if not alone:
        return Finding(CHECK, Verdict.CLEAN, f"Each of the {len(sizes):,} labels has at least two images.", evidence)
    if len(alone) == len(sizes):
        claim = f"Every one of {counted(len(sizes), 'label')} has a single image: there is no genuine pair."
        return Finding(CHECK, Verdict.SUSPICIOUS, claim, evidence, "Add images, or check what labels are made of.")
    # A few identities with one image are impostors of all others, as many benchmarks mean them to be.
    verdict = Verdict.SUSPICIOUS if 2 * len(alone) > len(sizes) else Verdict.CLEAN
    return Finding(
        CHECK,
        verdict,
        f"{len(alone):,} of {counted(len(sizes), 'label')} ({share(len(alone), len(sizes))}) have a single image, and "
        f"so no genuine pair: {some(alone)}.",
        evidence,
        "They count in impostor pairs alone; check that they are no misspelt labels."
        if verdict is Verdict.SUSPICIOUS
        else "",
    )


def _skew(sizes: Sequence[tuple[str, int]]) -> Finding:
    n = sum(size for _, size in sizes)
    pairs = [size * (size - 1) // 2 for _, size in sizes]
    genuine = sum(pairs)
    # The inverse of the chance that two genuine pairs are of one label (the inverse Simpson index).
    effective = genuine**2 / sum(p * p for p in pairs) if genuine else None
    label, largest = sizes[0] if sizes else ("", 0)
    evidence: dict[str, Any] = {
        "n_labels": len(sizes),
        "largest": label,
        "share_of_images": largest / n if n else None,
        "share_of_genuine_pairs": pairs[0] / genuine if genuine else None,
        "smallest": sizes[-1][1] if sizes else None,
        "effective_labels": effective,
    }
    if len(sizes) < 2 or not genuine:
        claim = f"There is no skew to speak of: {counted(len(sizes), 'label')}, {counted(genuine, 'genuine pair')}."
        return Finding(CHECK, Verdict.CLEAN, claim, evidence)
    worst = max(evidence["share_of_images"], evidence["share_of_genuine_pairs"])
    claim = (
        f"{label!r} has {share(largest, n)} of the images and {share(pairs[0], genuine)} of the genuine pairs; genuine "
        f"pairs weigh as those of {effective:.3g} equal labels of {len(sizes):,} would."
    )
    # Of two equal classes each has half.
    if worst > max(MOST, 1.5 / len(sizes)):
        return Finding(
            CHECK,
            Verdict.SUSPICIOUS,
            claim,
            evidence,
            "The result is mostly that of this label: look at results by label too, or take as many images of each.",
        )
    return Finding(CHECK, Verdict.CLEAN, claim, evidence)
