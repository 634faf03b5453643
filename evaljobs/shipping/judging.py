"""Hold the results of a run against those of an earlier one, by the gates of its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaljobs.config import parse_target
from evaljobs.errors import UsageError
from evaljobs.report.atomic import write_atomic
from evaljobs.report.comparing.comparison import compare
from evaljobs.report.comparing.gate import Gate, Judgement, parse_gate
from evaljobs.report.comparing.gate_table import gate_lines
from evaljobs.report.comparing.matching import Wanted
from evaljobs.report.results import Document
from evaljobs.report.runs.places import read_bytes
from evaljobs.report.runs.reading import NAME, read_results, results_file
from raycluster.program import Verdict

_NO_BASELINE = "not judged: {}: there is no earlier good run to hold it against; this one is the first"
_GONE = "failed: {}: the last good run is gone from {}; where this one is good, `raycluster schedule accept` takes it"


def read_gates(texts: Sequence[str]) -> list[Gate]:
    """Read the gates of a configuration.

    Raises
    ------
    UsageError
        If one is none.
    """
    return [parse_gate(text, parse_target) for text in texts]


def judge(results: str, baseline: str | None, gates: Sequence[str]) -> Verdict:
    """Judge a finished run.

    Models of equal names are compared; where the runs have none in common, the best model of each.

    Parameters
    ----------
    results, baseline
        Folders of runs, here or on S3. Without a baseline, gates that speak of one are not judged, and do not fail;
        where it is gone, they fail: else no run would ever be judged again, and nobody would know.
    gates
        As in ``tpr@1e-4 >= baseline - 0.005``.

    Returns
    -------
    Verdict
        Passed where every gate is; failed where one is, whatever the others are.

    Raises
    ------
    UsageError
        If results cannot be read, or the two runs cannot be compared.
    RemoteError
        If S3 does not answer.
    """
    read = read_gates(gates)
    candidate = read_results(results)
    if baseline is not None and _is_there(baseline):
        rows = _compared(read_results(baseline), candidate, read)
        return Verdict(_passed(rows), "\n".join(gate_lines(rows)))
    absolute = [gate for gate in read if not gate.relative]
    rows = compare(candidate, candidate, Wanted(), absolute).gates if absolute else []
    relative = [gate.text for gate in read if gate.relative]
    if baseline is None:
        unjudged = [_NO_BASELINE.format(text) for text in relative]
        return Verdict(_passed(rows), "\n".join(unjudged + gate_lines(rows)))
    gone = [_GONE.format(text, baseline) for text in relative]
    return Verdict(False if gone else _passed(rows), "\n".join(gate_lines(rows) + gone))


def keep(results: str, folder: Path) -> None:
    """Copy what `judge` needs of results that later ones are held against: it reads nothing else of a run.

    Raises
    ------
    UsageError, RemoteError
        As `judge` does.
    RunFailedError
        If the copy cannot be written.
    """
    read_results(results)  # nothing is kept that could not be compared
    write_atomic(folder / NAME, read_bytes(results_file(results)))


def _is_there(run: str) -> bool:
    """Whether a run has results; not that they are good ones."""
    try:
        read_bytes(results_file(run))
    except FileNotFoundError:
        return False
    except OSError:  # it cannot be read: `read_results` says so
        return True
    return True


def _compared(baseline: Document, candidate: Document, gates: Sequence[Gate]) -> list[dict[str, Any]]:
    names = [{model["name"] for model in document["models"]} for document in (baseline, candidate)]
    found = compare(baseline, candidate, Wanted(best=not names[0] & names[1]), gates).gates
    if gates and not found:
        raise UsageError("no gate could be judged: the runs share no result that it speaks of")
    return found


def _passed(rows: Sequence[dict[str, Any]]) -> bool | None:
    judgements = {row["judgement"] for row in rows}
    if Judgement.FAILED in judgements:
        return False
    return None if Judgement.INCONCLUSIVE in judgements else True
