"""What is said beside a verification: which pairs were left out, and whether it agrees with another way."""

from __future__ import annotations

from typing import Any

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.pairs.selfcheck import self_check
from evaljobs.pairs.verification import Verification
from evaljobs.pairs_file import ListedPairs


def check_itself(embeddings: object, labels: object, fpr: tuple[float, ...], size: int) -> dict[str, Any]:
    """Compare the fast way with scikit-learn on a part of the samples.

    Parameters
    ----------
    embeddings, labels
        ``[n, d]`` and ``n``, as `verify` takes them.
    fpr
        Targets.
    size
        Most samples that are drawn.

    Returns
    -------
    ``n_samples``, ``n_pairs`` and ``agreed``, as they stand in results.json.

    Raises
    ------
    ModelError
        If there is a difference: no number of this evaluation can be relied on.
    InputError
        If embeddings, labels or the size are not what is expected.
    """
    found = self_check(embeddings, labels, fpr, size)
    if not found.agreed:
        message = (
            f"the self-check against scikit-learn on {found.n_samples} samples found {len(found.differences)}"
            f" difference(s): {'; '.join(found.differences[:3])}. This is a mistake of this program; report it"
        )
        raise ModelError(ModelErrorKind.FAILED, message)
    return {"n_samples": found.n_samples, "n_pairs": found.n_pairs, "agreed": True}


def notes_of(found: Verification, hardest: int, *, n_probes: int = 0, listed: ListedPairs | None = None) -> list[str]:
    """Return what was changed about the input, and what is missing.

    Parameters
    ----------
    hardest
        How many of the hardest pairs were asked for.
    n_probes
        How many of the samples are probes, where they are compared with a gallery.
    listed
        The pairs that were listed, where they were.
    """
    notes = [*found.notes]
    if found.protocol == "cross":
        same = n_probes * (found.n_samples - n_probes) - found.n_genuine - found.n_impostor
        notes += [f"{same:,} pair(s) of samples of equal id are not compared"] if same else []
    if listed is not None and listed.excluded:
        total = len(listed.rows) + listed.excluded
        notes.append(f"{listed.excluded:,} of {total:,} listed pairs have an image that is excluded, and are left out")
    return notes + [_too_similar(kind) for kind in _untold(found, hardest)]


def _untold(found: Verification, hardest: int) -> list[str]:
    """Return the kinds of pairs whose hardest were asked for and could not be told apart."""
    if not hardest or found.findings is None:
        return []
    impostor, genuine = found.findings.hardest_impostor, found.findings.hardest_genuine
    kinds = [("impostor", impostor, found.n_impostor), ("genuine", genuine, found.n_genuine)]
    return [kind for kind, pairs, number in kinds if number and pairs is None]


def _too_similar(kind: str) -> str:
    return f"the hardest {kind} pairs are not listed: too many have scores too similar to be told apart"
