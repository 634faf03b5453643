"""What a job is: all that the engine and the report must know of an evaluation.

A job is pure: it knows no Ray, no store and no files. It says what it needs, cuts its work into tasks whose evidence
adds up, and turns the total into an outcome.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa

from evaljobs.config import Section, Set
from evaljobs.pairs_file import ListedPairs

if TYPE_CHECKING:
    from evaljobs.explain.sight import Sight
    from evaljobs.images.pictures import Pictures

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
# What an evaluation found, as JSON.
Result = Mapping[str, Any]


class ModelFacts(NamedTuple):
    """What a job may know of the model beside its outputs.

    Attributes
    ----------
    name
        For messages alone: a result is kept for whoever asks next, under whatever name.
    classes
        The names of the class scores, in their order; None where nobody says them, and for jobs without scores.
    scores_are
        What the class scores are; None for jobs without scores.
    scores_told
        Whether somebody says so; else it is a guess, by what ends the graph.
    """

    name: str = ""
    classes: tuple[str, ...] | None = None
    scores_are: Literal["logits", "probabilities"] | None = None
    scores_told: bool = True


_UNKNOWN = ModelFacts()


@dataclasses.dataclass(frozen=True)
class Rows:
    """The images of one set, as one model saw them.

    Attributes
    ----------
    digests
        ``[n]`` image digests (schemas.DIGEST): equal ones are images of equal bytes.
    labels
        ``n`` texts.
    outputs
        By role (`Job.outputs`): ``[n, d]`` float32, in the order of the labels.
    ids
        ``[n]`` sample ids (string). Results may depend on them where the job says so (`Job.uses_ids`).
    listed
        Pairs of these images that were listed in a file; None where the job names no such file.
    model
        What else is known of the model.
    before
        What the job that this one comes after found for the same model; None where the job does not ask for it
        (`Job.uses_before`).
    changed
        ``[n]`` bool: the images that a view has changed; None for a set that is no view.
    files
        ``[n]`` digests of the files that the images are made of (schemas.DIGEST); None for a set that is no view: those
        are `digests`.
    facts
        ``[n]`` rows of what was found in the files of the images, without decoding them (schemas.SAMPLES); None where
        the job does not ask for it (`Job.uses_facts`).
    pictures
        The images themselves, for a job without a model that looks at them (`Job.uses_images`).
    """

    digests: pa.Array
    labels: Sequence[str]
    outputs: Mapping[str, Matrix]
    ids: pa.Array
    listed: ListedPairs | None = None
    model: ModelFacts = _UNKNOWN
    before: Outcome | None = None
    changed: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None
    sight: Sight | None = None
    files: pa.Array | None = None
    facts: pa.Table | None = None
    pictures: Pictures | None = None

    @property
    def originals(self) -> pa.Array:
        """``[n]`` digests that an image and what a view makes of it have in common."""
        return self.digests if self.files is None else self.files


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


class Evidence(Protocol):
    """What a task found. It adds up, in any order and grouping, to the same total."""

    def __add__(self, other: Self, /) -> Self:
        """Return the evidence of both."""


class Work(Protocol):
    """One pass over the samples: a small picklable value that is cut into tasks."""

    def parts(self, at_least: int) -> list[range]:
        """Cut the pass into parts, `at_least` so many where there is enough to do. Each is a task."""

    def pairs(self, part: range, /) -> int:
        """Return how many pairs a part looks at: what it costs, and how progress is counted."""

    def run(self, samples: Any, part: range, onto: Any = None) -> Any:
        """Carry out a part, anywhere, once or more often, and return its evidence.

        What is found is added to `onto`, which may be changed by that and is not to be used any more. Arrays of the
        samples may be read-only, shared with other tasks.
        """


class Passes(NamedTuple):
    """An evaluation: what its tasks look at, and a generator that asks for passes and returns the outcome.

    The generator yields `Work`, is sent the sum of the evidence of all its parts, and may then ask for another pass.
    Whoever carries it out decides where: in threads here, or as tasks of a cluster.

    Attributes
    ----------
    samples
        Picklable; handed to every task.
    rounds
        The generator.
    """

    samples: Any
    rounds: Generator[Any, Any, Outcome]


class Dropout(NamedTuple):
    """That a job needs many passes of a model with dropout in it: how many, and what the masks are drawn from."""

    passes: int
    seed: int


class After(NamedTuple):
    """That a job waits for another one, and takes the best of its models.

    Attributes
    ----------
    job
        The name of the other one.
    most
        How many models at most; None: all that have a result there.
    """

    job: str
    most: int | None


class Job(abc.ABC):
    """One entry of `jobs`. A kind of job sets the class attributes and has the methods that are abstract here."""

    # Its name in the configuration.
    kind: ClassVar[str]
    # Of the algorithm: part of the key of its cached results, raised when results change.
    version: ClassVar[int]
    # What it needs of a model, by role: "embedding"; "scores", a number for each class (logits or probabilities).
    # This and the next three may depend on the job's keys: then they are set when it is made.
    outputs: tuple[str, ...] = ("embedding",)
    # Whether the model is run with its dropout in it: then it has the role "passes" too, what they say together.
    dropout: Dropout | None = None
    # The kind of job that it comes after where the configuration does not say, to take the best model of it.
    follows: str | None = None
    # Whether it reads what the job found that it comes after (`Rows.before`): one of the kind that it follows.
    uses_before: bool = False
    # Whether it looks at the images again, and runs the model itself (`Rows.sight`).
    uses_images: ClassVar[bool] = False
    # Whether it reads what is known of the images' files (`Rows.facts`), and whether a result depends on `columns`.
    uses_facts: ClassVar[bool] = False
    uses_columns: ClassVar[bool] = False
    # Whether what it costs are pairs that it compares, and not only as much work.
    compares: ClassVar[bool] = True
    # Its keys in the configuration.
    Parameters: ClassVar[type[Section]]
    # Keys that say where something is: what stands there decides a result, and not its name.
    places: ClassVar[frozenset[str]] = frozenset({"set"})

    def __init__(self, name: str, parameters: Section, after: After | None = None) -> None:
        self.name = name
        self.parameters = parameters
        self.after = after

    @abc.abstractmethod
    def sets(self) -> dict[str, str]:
        """Return the image sets that it needs: the set's name by its role in the job."""

    def shown_set(self) -> str:
        """Return the name of the set under which its results stand: several are joined, those that it makes aside."""
        made = self.views()
        return " / ".join(name for name in self.sets().values() if name not in made)

    def views(self) -> dict[str, Set]:
        """Return the views that it makes of sets, by name: `sets` may name them like those of the configuration.

        `evaljobs.jobs.views.view_of` gives a view and its name. They have the same samples as the set that they are of.
        """
        return {}

    def of_images(self) -> Job | None:
        """Return the part of it that needs no model: evaluated once, for all of them. None where there is no such part.

        It is a job of the same kind and name, whose `outputs` are empty. Its result stands under no model's name. Its
        rows are all images that can be read: those that cannot be decoded are its own to leave out.
        """
        return None

    def refuse(self, sets: Mapping[str, Set]) -> None:
        """Refuse sets that it can do nothing with, before anything is started.

        Parameters
        ----------
        sets
            All of the configuration, by name.

        Raises
        ------
        UsageError
            Naming what to write instead.
        """
        del sets

    def check_samples(self, samples: Mapping[str, pa.Table]) -> None:
        """Refuse sets on whose labels or files it makes no sense, before anything is computed.

        Parameters
        ----------
        samples
            By role: all samples of the set (schemas.SAMPLES), those included that turn out not to be decodable.

        Raises
        ------
        UsageError
            With what was found and what to do.
        """
        del samples

    @property
    def may_idle(self) -> bool:
        """Whether views that it makes may change nothing for any model: then it is said, and not refused."""
        return False

    def attached(self) -> tuple[str, ...]:
        """Return the files beside images and models that it reads by itself (`opened`): their paths, as written."""
        return ()

    def opened(self, locate: Callable[[str], str]) -> Self:
        """Return it with what stands in its `attached` files, before anything is started.

        Parameters
        ----------
        locate
            From a path as written to where it is: an absolute path, or ``s3://``.

        Raises
        ------
        UsageError, RemoteError
            If one cannot be used.
        """
        del locate
        return self

    def listed(self) -> dict[str, str]:
        """Return the files of listed pairs that it needs: the path as written, by the role of the set they are of."""
        return {}

    def columns(self) -> tuple[str, ...]:
        """Return the columns of samples that its pictures show; the manifest's own must be kept by each of its sets."""
        return ()

    @property
    def uses_ids(self) -> bool:
        """Whether a result depends on what the samples are called, so that renaming one means computing it anew."""
        return False

    @abc.abstractmethod
    def n_pairs(self, ids: Mapping[str, pa.Array], listed: ListedPairs | None) -> int:
        """Return how many pairs it compares for one model: its cost.

        Parameters
        ----------
        ids
            By role: ``[n]`` ids of the samples that take part.
        listed
            The pairs that are listed, if it names a file of them.
        """

    @abc.abstractmethod
    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Return the evaluation of one model as passes over its samples, not yet carried out.

        Parameters
        ----------
        rows
            By role, as `sets` names them.

        Raises
        ------
        InputError
            If these rows cannot be evaluated; the model is reported as failed. Its passes may raise it too.
        """

    def rank(self, result: Result) -> tuple[float, ...] | None:
        """Return how good a model is, by its result: the larger the better, compared number by number.

        None where it cannot be ranked. By itself a kind of job ranks no model, and no job can take the best of it.
        """
        del result
        return None

    def best_first(self, results: Mapping[str, Result]) -> list[str]:
        """Return the models that can be ranked, best first, as the report's leaderboard has them.

        Parameters
        ----------
        results
            By name of the model.
        """
        ranks = {name: rank for name, result in results.items() if (rank := self.rank(result)) is not None}
        return sorted(ranks, key=lambda name: ([-value for value in ranks[name]], name))

    @property
    def ranks_models(self) -> bool:
        """Whether its kind says which model is best."""
        own = type(self)
        return own.rank is not Job.rank or own.best_first is not Job.best_first

    def specification(self) -> dict[str, Any]:
        """Return, as JSON, all that decides a result beside the rows: kind, algorithm version, parameters."""
        parameters = self.parameters.model_dump(mode="json", exclude=set(self.places))
        return {"kind": self.kind, "version": self.version, "parameters": parameters, "roles": sorted(self.sets())}
