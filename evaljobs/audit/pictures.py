"""Images without anything to see, and damaged ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from evaljobs.audit.duplicates import MUCH
from evaljobs.audit.finding import Checked, Finding, Verdict
from evaljobs.audit.prints import BLANK_SPREAD, FAINT_SPREAD, Prints
from evaljobs.audit.words import counted, share

CHECK = "pictures"


def check_pictures(prints: Prints, labels: Sequence[str], damaged: Mapping[str, int] | None = None) -> Checked:
    """Find blank, nearly blank and damaged images.

    Parameters
    ----------
    prints, labels
        Of the n images that take part.
    damaged
        By kind (errors.ImageErrorKind): how many images were left out beside them; None where nobody counted.

    Returns
    -------
    A finding on blank images and, if it is known, one on damaged ones; table ``blank``: ``row``, ``label``,
    ``spread`` (standard deviation of gray values), ``extent`` (brightest less darkest), least first.
    """
    rows = np.flatnonzero(prints.known & (prints.spread < FAINT_SPREAD))
    rows = rows[np.lexsort((rows, prints.spread[rows]))]
    table = pa.table(
        {
            "row": pa.array(rows, pa.int64()),
            "label": pa.array([labels[row] for row in rows.tolist()], pa.string()),
            "spread": pa.array(prints.spread[rows].astype(np.float64)),
            "extent": pa.array(prints.extent[rows], pa.int64()),
        }
    )
    findings = [_blank(prints)]
    if damaged is not None:
        findings.append(_damaged(damaged, len(labels)))
    return Checked(tuple(findings), {"blank": table})


def _blank(prints: Prints) -> Finding:
    n = int(prints.known.sum())
    blank = int((prints.known & (prints.spread < BLANK_SPREAD)).sum())
    faint = int((prints.known & (prints.spread < FAINT_SPREAD)).sum()) - blank
    evidence = {"n_images": n, "n_blank": blank, "n_nearly_blank": faint, "n_not_looked_at": len(prints) - n}
    if not n:
        claim = "Whether images are blank is not known: none was looked at."
        return Finding(CHECK, Verdict.UNKNOWN, claim, evidence, "Let the audit look at pixels.")
    if not blank + faint:
        return Finding(CHECK, Verdict.CLEAN, f"None of the {n:,} images is blank or nearly so.", evidence)
    return Finding(
        CHECK,
        Verdict.SUSPICIOUS if blank or faint >= MUCH * n else Verdict.CLEAN,
        f"{blank:,} of {counted(n, 'image')} ({share(blank, n)}) are blank, {faint:,} more nearly so.",
        evidence,
        "Look at them and leave out those that show nothing: nobody can tell their label, and all models give them "
        "like embeddings.",
    )


def _damaged(damaged: Mapping[str, int], n: int) -> Finding:
    found = {kind: count for kind, count in sorted(damaged.items()) if count}
    total = sum(found.values())
    evidence = {"n_images": n + total, "n_left_out": total, "by_kind": found}
    if not total:
        return Finding(CHECK, Verdict.CLEAN, f"All {n:,} images can be decoded.", evidence)
    kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in found.items())
    return Finding(
        CHECK,
        Verdict.SUSPICIOUS,
        f"{total:,} of {counted(n + total, 'image')} ({share(total, n + total)}) cannot be used and take part in "
        f"nothing ({kinds}).",
        evidence,
        "Look at the table `damaged`; replace them, or make sure that they are not of one kind or label.",
    )
