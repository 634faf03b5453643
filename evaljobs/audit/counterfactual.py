"""What is left of a model's numbers when all images are encoded alike: what goes away came from the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from evaljobs.audit.finding import Checked, Finding, Verdict
from evaljobs.audit.tie import Tie
from evaljobs.pairs.points import Flag
from evaljobs.report.comparing.differences import differences

CHECK = "counterfactual"
# Of an AUROC: a fall that is certain and smaller than this is worth a look, and changes no conclusion.
LARGE = 0.02
PNG = "png"


class Recoded(NamedTuple):
    """A model's numbers on the images as they are, and after all were encoded in one way.

    Attributes
    ----------
    title
        The way.
    evens_out
        What all files have in common after it, in words: ``encoding``, ``size``, ...
    tie
        How that goes with the labels, in the files as they are.
    result
        As `Verification.to_json` gives it.
    """

    title: str
    evens_out: str
    tie: Tie
    result: Mapping[str, Any]


def counterfactual(plain: Mapping[str, Any], recoded: Sequence[Recoded], *, png: bool) -> Checked:
    """Compare a model's numbers with those after each way of encoding all images anew.

    A fall of the AUROC is a leak where it is certain, large, and what was evened out goes with the labels; a smaller
    one, or one of a TPR alone, is suspicious then. Where that does not go
    with the labels, or is the same in all files, a fall is what the compression costs.

    Parameters
    ----------
    plain
        The result on the images as they are, as `Verification.to_json` gives it.
    recoded
        The others, on the same images: equal groups are left out for their intervals.
    png
        Whether PNG is asked for, too.
    """
    targets = [point["target"] for point in plain["points"]]
    found = [Finding(CHECK, Verdict.CLEAN, _PNG, {"recoding": PNG, "differences": []})] if png else []
    rows: list[dict[str, Any]] = []
    for one in recoded:
        of_one = [{"recoding": one.title, **row} for row in differences(plain, one.result, targets)]
        rows += of_one
        found.append(_finding(one, of_one))
    if png:
        rows += [{"recoding": PNG, **row} for row in _same(plain, targets)]
    return Checked(tuple(found), {CHECK: _table(rows)})


_PNG = (
    "Encoded as PNG, every image keeps every pixel, and a model sees nothing but pixels: its numbers are the same. "
    "What JPEG left in the pixels stays there; only encoding all as JPEG evens it out."
)


def _finding(one: Recoded, rows: Sequence[Mapping[str, Any]]) -> Finding:
    auroc = next(row for row in rows if row["metric"] == "auroc")
    tie = one.tie
    evidence = {
        "recoding": one.title,
        "evens_out": one.evens_out,
        "n_values": tie.n_values,
        "same_genuine": tie.same_genuine,
        "same_impostor": tie.same_impostor,
        "tie_auroc": tie.auroc,
        "tie_p": tie.p,
        "differences": [{key: row[key] for key in _KEPT} for row in rows],
    }
    fell = _fallen(rows)
    verdict, why, advice = _judged(one, auroc, fell)
    return Finding(CHECK, verdict, f"{_moved(one, auroc)}{_fallen_text(fell)}: {why}.", evidence, advice)


def _fallen(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the greatest certain fall of a TPR; None where there is none. One at zero false positives says little."""
    certain = [
        row
        for row in rows
        if row["metric"] == "tpr"
        and row["zero_inside"] is False
        and row["difference"] < 0
        and Flag.UNRESOLVED not in {*row["flags_a"], *row["flags_b"]}
    ]
    return min(certain, key=lambda row: row["difference"], default=None)


def _fallen_text(fell: Mapping[str, Any] | None) -> str:
    return "" if fell is None else f", TPR at FPR {fell['target']:g} {fell['a']:.4f} -> {fell['b']:.4f}"


def _judged(one: Recoded, auroc: Mapping[str, Any], fell: Mapping[str, Any] | None) -> tuple[Verdict, str, str]:
    """Return the verdict, the reason, and what to do."""
    what, tie = one.evens_out, one.tie
    still = auroc["zero_inside"] or auroc["difference"] == 0
    if still and fell is None:
        return Verdict.CLEAN, "no more than noise", ""
    if not tie.varies:
        return Verdict.CLEAN, f"all files have one {what} already, so this is what the change costs, and no leak", ""
    if auroc["zero_inside"] is None and fell is None:
        return Verdict.UNKNOWN, f"whether that is more than noise is not known ({auroc['reason']})", _MORE_GROUPS
    if not tie.tied:
        return Verdict.CLEAN, f"the {what} does not go with the labels, so this is what the change costs", ""
    # A fall of the TPR alone may as well be what the compression costs.
    fall = -auroc["difference"] if auroc["zero_inside"] is False else 0.0
    return _of_tied(one, fall, fell is not None)


def _of_tied(one: Recoded, fall: float, fell: bool) -> tuple[Verdict, str, str]:
    """Return the same of a difference that is certain, where what was evened out goes with the labels."""
    if fall <= 0 and not fell:
        return Verdict.CLEAN, f"the {one.evens_out} goes with the labels, and the model does not live on it", ""
    said = f"the {one.evens_out} of the files goes with the labels ({tied_text(one.tie)})"
    if fall < LARGE:
        return Verdict.SUSPICIOUS, f"{said}, and a part of the numbers goes with it", _EVEN
    return Verdict.LEAK, f"{said}, and the model answers by it", _EVEN


_EVEN = (
    "Do not believe the first number: encode all images alike before models see them, for training too, and report "
    "that one."
)
_MORE_GROUPS = "Take more images or labels, so that intervals can be made."


def tied_text(tie: Tie) -> str:
    """Say how a property goes with the labels."""
    return f"the same in {tie.same_genuine:.0%} of the genuine and {tie.same_impostor:.0%} of the impostor pairs"


def _moved(one: Recoded, auroc: Mapping[str, Any]) -> str:
    if auroc["a"] is None or auroc["b"] is None:
        return f"All as {one.title}: the AUROC is not defined"
    between = "" if auroc["ci"] is None else f", 95% interval {auroc['ci'][0]:+.4f} to {auroc['ci'][1]:+.4f}"
    return f"AUROC {auroc['a']:.4f} -> {auroc['b']:.4f} when all is {one.title} ({auroc['difference']:+.4f}{between})"


def _same(plain: Mapping[str, Any], targets: Sequence[float]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of images whose pixels are the same: known without an interval."""
    for row in differences(plain, plain, targets):
        known = row["a"] is not None
        yield {**row, "ci": [0.0, 0.0] if known else None, "zero_inside": True if known else None, "reason": ""}


_KEPT = ("metric", "target", "a", "b", "difference", "ci", "zero_inside", "reason")


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    columns: dict[str, tuple[Any, Any]] = {
        "recoding": (pa.string(), lambda row: row["recoding"]),
        "metric": (pa.string(), lambda row: row["metric"]),
        "target": (pa.float64(), lambda row: row["target"]),
        "before": (pa.float64(), lambda row: row["a"]),
        "after": (pa.float64(), lambda row: row["b"]),
        "difference": (pa.float64(), lambda row: row["difference"]),
        "low": (pa.float64(), lambda row: None if row["ci"] is None else row["ci"][0]),
        "high": (pa.float64(), lambda row: None if row["ci"] is None else row["ci"][1]),
        "certain": (pa.bool_(), lambda row: None if row["zero_inside"] is None else not row["zero_inside"]),
        "reason": (pa.string(), lambda row: row["reason"]),
        "flags_before": (pa.string(), lambda row: " ".join(row["flags_a"])),
        "flags_after": (pa.string(), lambda row: " ".join(row["flags_b"])),
    }
    return pa.table({name: pa.array([of(row) for row in rows], kind) for name, (kind, of) in columns.items()})
