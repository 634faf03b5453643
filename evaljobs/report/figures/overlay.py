"""The ROC picture of a section: all its models on one pair of axes."""

from __future__ import annotations

from evaljobs.report.figures.found import curves_of, picture_stem, ranking_fpr, targets_of
from evaljobs.report.figures.roc import roc_figure
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.numbers import rate_text

CAPTION = (
    "The share of genuine pairs that is accepted, by the share of impostor pairs that is accepted with them. Each step "
    "of a named curve is one that was observed: nothing is interpolated."
)


def roc_picture(found: Found, fpr: float | None = None) -> Picture | None:
    """Draw the ROC curves of all models, ordered by their TPR at a target; None where there is no curve.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    curves = curves_of(found, fpr)
    if not curves:
        return None
    at = ranking_fpr(found, fpr)
    written = roc_figure(curves, picture_stem(found, "roc"), targets_of(found), at)
    alt = f"ROC curves of {len(curves):,} models on a logarithmic FPR axis, the best at FPR {rate_text(at)} in colour"
    return Picture("roc", "ROC", alt, written, CAPTION)
