"""Was the set seen in training? Its labels, its images, and images that look like them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaljobs.audit.alike import BOUND, alike_across
from evaljobs.audit.duplicates import MUCH, pairs_table
from evaljobs.audit.finding import Checked, Finding, Verdict
from evaljobs.audit.prints import Prints
from evaljobs.audit.words import counted, share, some

Int64 = NDArray[np.int64]

CHECK = "training"


@dataclasses.dataclass(frozen=True)
class Training:
    """What is known of the images that models were trained on. What is None is not known.

    Attributes
    ----------
    labels
        All of them.
    digests
        ``[m]`` sha256 of the images' bytes (schemas.DIGEST).
    prints
        Fingerprints of these m images.
    of_images
        Labels of these m images.
    listed
        Whether they stand in a list and not in a set of the run: then tables name them by ``training_row``.
    """

    labels: frozenset[str] | None = None
    digests: pa.Array | None = None
    prints: Prints | None = None
    of_images: Sequence[str] | None = None
    listed: bool = False


def check_training(
    digests: pa.Array, labels: Sequence[str], prints: Prints | None, training: Training | None, *, bound: int = BOUND
) -> Checked:
    """Find what a set has in common with what models were trained on.

    Parameters
    ----------
    digests, labels, prints
        Of the n images of the set; `prints` None where nobody looked at pixels.
    training
        None where no training set is named.
    bound
        In how many bits of 64 the hashes of images that look alike differ at most.

    Returns
    -------
    Findings on labels, copies, and images that look alike. Tables ``training_exact`` and ``training_near``, a row a
    pair as in `check_duplicates`: ``row_a`` counts in the set, ``row_b`` in the training set; where that is a list,
    ``row`` and ``training_row`` (from 0).
    """
    if training is None:
        return Checked((_unknown("Whether models have seen these labels or images in training", "training_set"),))
    findings = [_labels(labels, training)]
    tables: dict[str, pa.Table] = {}
    seen = np.zeros(len(labels), np.bool_)
    if training.digests is None:
        findings.append(_unknown("Whether these images were trained on", "training_images"))
    else:
        seen = pc.is_in(digests, value_set=training.digests).to_numpy(zero_copy_only=False)
        findings.append(_exact(seen))
        rows = np.flatnonzero(seen)
        there = pc.index_in(digests.take(pa.array(rows)), value_set=training.digests)
        others = there.to_numpy(zero_copy_only=False).astype(np.int64)
        exact = pairs_table(rows, others, labels, training.of_images, None)
        tables["training_exact"] = exact.rename_columns(_OF_LISTS) if training.listed else exact
    if prints is None or training.prints is None:
        findings.append(_unknown("Whether training images look like these", "training_pixels"))
        return Checked(tuple(findings), tables)
    near = alike_across(prints, training.prints, np.flatnonzero(~seen), np.arange(len(training.prints)), bound)
    tables["training_near"] = pairs_table(near.a, near.b, labels, training.of_images, near.distance)
    findings.append(_near(near.a, len(near.a), near.complete, len(labels), bound))
    return Checked(tuple(findings), tables)


_OF_LISTS = ["row", "training_row", "label_a", "label_b", "same_label"]
_ADVICE = {
    "training_set": "Name the training set, or a table of its labels or image digests, to find out.",
    "training_labels": "Give the training set's labels to find out.",
    "training_images": "Give the training set's images, or their sha256 digests, to find out.",
    "training_pixels": "Give the training set's images to find out.",
}


def _unknown(question: str, lack: str) -> Finding:
    return Finding(CHECK, Verdict.UNKNOWN, f"{question} is not known.", {"lacking": lack}, _ADVICE[lack])


def _labels(labels: Sequence[str], training: Training) -> Finding:
    if training.labels is None:
        return _unknown("Whether the labels were trained on (whether this is zero-shot)", "training_labels")
    own = sorted(set(labels))
    shared = [label for label in own if label in training.labels]
    n_images = sum(label in training.labels for label in labels)
    folded = {_folded(label) for label in training.labels}
    nearly = [label for label in own if label not in training.labels and _folded(label) in folded]
    evidence: dict[str, Any] = {
        "n_labels": len(own),
        "n_training_labels": len(training.labels),
        "n_labels_shared": len(shared),
        "n_images_of_shared_labels": n_images,
        "n_labels_shared_but_for_case_and_spaces": len(nearly),
        "first_shared": shared[:10],
    }
    alike = f" {counted(len(nearly), 'label')} differ from a training label in case or spaces only: {some(nearly)}."
    if not shared:
        return Finding(
            CHECK,
            Verdict.SUSPICIOUS if nearly else Verdict.CLEAN,
            f"None of the {len(own):,} labels was trained on: the evaluation is zero-shot."
            if not nearly
            else f"None of the {len(own):,} labels was trained on as it is written." + alike,
            evidence,
            "Check whether these are the same classes." if nearly else "",
        )
    return Finding(
        CHECK,
        Verdict.SUSPICIOUS,
        f"{len(shared):,} of {counted(len(own), 'label')} were trained on ({share(n_images, len(labels))} of the "
        f"images): the evaluation is not zero-shot. Shared: {some(shared)}." + (alike if nearly else ""),
        evidence,
        "Leave these labels out where models are to be judged on labels they have not met; where they are meant to be "
        "known, say so beside the numbers.",
    )


def _folded(label: str) -> str:
    return "".join(label.casefold().split())


def _exact(seen: NDArray[np.bool_]) -> Finding:
    n, found = len(seen), int(seen.sum())
    evidence = {"n_images": n, "n_images_in_training": found}
    if not found:
        return Finding(CHECK, Verdict.CLEAN, f"None of the {n:,} images is a training image, byte for byte.", evidence)
    return Finding(
        CHECK,
        Verdict.LEAK,
        f"{found:,} of {counted(n, 'image')} ({share(found, n)}) are training images, byte for byte.",
        evidence,
        "Leave them out: the table names them.",
    )


def _near(rows: Int64, n_pairs: int, complete: bool, n: int, bound: int) -> Finding:
    concerned = len(np.unique(rows))
    evidence = {
        "n_images": n,
        "n_images_alike": concerned,
        "n_pairs": n_pairs,
        "n_pairs_complete": complete,
        "bound_bits": bound,
    }
    words = f"(hashes that differ in at most {bound} of 64 bits)"
    if not concerned:
        claim = f"No other of the {n:,} images looks like a training image {words}."
        return Finding(CHECK, Verdict.CLEAN, claim, evidence)
    much = concerned >= MUCH * n
    return Finding(
        CHECK,
        Verdict.LEAK if much else Verdict.SUSPICIOUS,
        f"{concerned:,} of {counted(n, 'image')} ({share(concerned, n)}) look like a training image without being its "
        f"copy {words}.",
        evidence,
        "Look at the pairs in the table; leave out the images that are versions of training images.",
    )
