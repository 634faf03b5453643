"""What a job is: all that the engine and the report must know of an evaluation.

A job is pure: it knows no Ray, no store and no files. It says what it needs, and turns that into an outcome.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from evaljobs.config import Section

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


@dataclasses.dataclass(frozen=True)
class Rows:
    """The images of one set, as one model saw them.

    Attributes
    ----------
    labels
        Of ``n`` images.
    outputs
        By name of the output (``embedding``): ``[n, d]`` float32, in the order of the labels.
    """

    labels: Sequence[str]
    outputs: Mapping[str, Matrix]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an evaluation found.

    Attributes
    ----------
    result
        Valid JSON: undefined is null. It becomes `result` in results.json.
    tables
        By name; they are kept beside the results, and figures are drawn from them.
    """

    result: dict[str, Any]
    tables: Mapping[str, pa.Table] = dataclasses.field(default_factory=dict)


class Job(abc.ABC):
    """One entry of `jobs`. A kind of job sets the class attributes and has the methods that are abstract here."""

    # Its name in the configuration.
    kind: ClassVar[str]
    # Of the algorithm: part of the key of its cached results, raised when results change.
    version: ClassVar[int]
    # What it needs of a model.
    outputs: ClassVar[tuple[str, ...]] = ("embedding",)
    # Its keys in the configuration.
    Parameters: ClassVar[type[Section]]

    def __init__(self, name: str, parameters: Section) -> None:
        self.name = name
        self.parameters = parameters

    @abc.abstractmethod
    def sets(self) -> dict[str, str]:
        """Return the image sets that it needs: the set's name by its role in the job."""

    @abc.abstractmethod
    def evaluate(self, rows: Mapping[str, Rows], *, threads: int) -> Outcome:
        """Evaluate one model.

        Parameters
        ----------
        rows
            By role, as `sets` names them.
        threads
            How many it may use.

        Raises
        ------
        InputError
            If these rows cannot be evaluated; the model is reported as failed.
        """

    def specification(self) -> dict[str, Any]:
        """Return, as JSON, all that decides a result beside the rows: kind, algorithm version, parameters."""
        parameters = self.parameters.model_dump(mode="json", exclude=set(self.sets()))
        return {"kind": self.kind, "version": self.version, "parameters": parameters, "roles": sorted(self.sets())}
