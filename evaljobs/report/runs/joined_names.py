"""What sets, jobs and models of several runs are called where the runs are joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaljobs.report.results import Document
from evaljobs.report.runs.identity import agree, question_of, same_model
from evaljobs.report.runs.told_apart import Named, Thing, name_apart

# Between the names of a job's sets.
_SEVERAL = " / "

Runs = Sequence[tuple[str, Document]]
Findings = list[dict[str, str]]


@dataclass
class Names:
    """What the things of one run are called where it is joined with others.

    Attributes
    ----------
    sets, models
        By their names there.
    jobs
        By the names of the job and of its set there.
    """

    sets: dict[str, str] = field(default_factory=dict)
    jobs: dict[tuple[str, str], str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    def set_name(self, name: str) -> str:
        """Return the name of a set, or of the several that a job compares."""
        if name in self.sets:
            return self.sets[name]
        return _SEVERAL.join(self.sets.get(part, part) for part in name.split(_SEVERAL))

    def key(self, evaluation: Document) -> tuple[str, str, str | None]:
        """Return (job, set, model) of an evaluation by their names here; the model of a job without one is None."""
        where = (evaluation["job"], evaluation["set"])
        model: str | None = evaluation["model"]
        return self.jobs[where], self.set_name(where[1]), None if model is None else self.models.get(model, model)


def name_everything(runs: Runs) -> tuple[list[Names], Findings]:
    """Name the sets, jobs and models of several runs.

    Parameters
    ----------
    runs
        Name and results document of each, oldest first; names are unique.

    Returns
    -------
    list of Names
        For each run.
    list of dict
        What was told apart, and why: ``level``, ``text`` and ``advice``.
    """
    names = [Names() for _ in runs]
    return names, [*_name_sets(runs, names), *_name_jobs(runs, names), *_name_models(runs, names)]


def _finding(text: str, advice: str, level: str = "warning") -> dict[str, str]:
    return {"level": level, "text": text, "advice": advice}


def _name_sets(runs: Runs, names: Sequence[Names]) -> Findings:
    """Name the sets: those of equal digest are one, called as in the newest run."""
    called: dict[str, str] = {}
    twice: set[str] = set()
    for _, document in runs:
        digests = [entry["digest"] for entry in document["sets"]]
        twice.update(digest for digest, times in Counter(digests).items() if times > 1)
        called.update({entry["digest"]: entry["name"] for entry in document["sets"]})
    things = [
        # Where a run looks at the same images in two ways, their names tell which is which.
        Thing(run, e["name"], e["name"] if e["digest"] in twice else called[e["digest"]], e["digest"])
        for run, document in runs
        for e in document["sets"]
    ]
    given = name_apart(things, lambda a, b: bool(a == b))
    for (run, document), own in zip(runs, names, strict=True):
        own.sets = {e["name"]: given.names[run, e["name"]] for e in document["sets"]}
    return [
        _finding(
            f"the set {name!r} has other images or labels in each of {_some(apart)}",
            "models are compared on equal images alone: evaluate them on one set",
        )
        for name, apart in given.apart.items()
    ]


def _name_jobs(runs: Runs, names: Sequence[Names]) -> Findings:
    """Name the jobs: those of equal name on a set are one, where they compare the same pairs."""
    things = []
    for (run, document), own in zip(runs, names, strict=True):
        asked: dict[tuple[str, str], list[Document]] = {}
        for entry in document["evaluations"]:
            asked.setdefault((entry["job"], entry["set"]), []).append(entry)
        things += [
            Thing(run, where, where[0], (own.set_name(where[1]), question_of(entries)))
            for where, entries in asked.items()
        ]
    findings: Findings = []
    for image_set in dict.fromkeys(thing.content[0] for thing in things):
        on_it = [thing for thing in things if thing.content[0] == image_set]
        given = name_apart(on_it, lambda a, b: _same_question(a[1], b[1]))
        _keep_jobs(runs, names, given)
        findings += [
            _finding(
                f"the job {name!r} on {image_set!r} does not ask the same in each of {_some(apart)}",
                "evaluate all models with one configuration of the job",
            )
            for name, apart in given.apart.items()
        ]
    return findings


def _keep_jobs(runs: Runs, names: Sequence[Names], given: Named) -> None:
    for (run, _), own in zip(runs, names, strict=True):
        own.jobs.update({key: name for (of, key), name in given.names.items() if of == run and isinstance(key, tuple)})


def _same_question(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Return whether two questions are equal; where no model has a result, the kind is all that is known."""
    return a == b or (1 in {len(a), len(b)} and a[0] == b[0])


def _name_models(runs: Runs, names: Sequence[Names]) -> Findings:
    """Name the models: they are one where the file and its use are equal, and where they found the same."""
    things = []
    for (run, document), own in zip(runs, names, strict=True):
        found: dict[str, dict[tuple[str, str], Document]] = {}
        for entry in document["evaluations"]:
            job, image_set, _ = own.key(entry)
            found.setdefault(entry["model"], {})[job, image_set] = entry
        things += [Thing(run, m["name"], m["name"], (m, found.get(m["name"], {}))) for m in document["models"]]
    given = name_apart(things, lambda a, b: same_model(a[0], b[0]) and _agree(a[1], b[1]))
    for (run, document), own in zip(runs, names, strict=True):
        own.models = {m["name"]: given.names[run, m["name"]] for m in document["models"]}
    return _findings_of_models(things, given)


def _agree(a: Mapping[tuple[str, str], Document], b: Mapping[tuple[str, str], Document]) -> bool:
    return all(agree(a[where], b[where]) for where in a.keys() & b.keys())


def _findings_of_models(things: Sequence[Thing[Any]], given: Named) -> Findings:
    """Say which equal models found something else, which is no difference of models; and which are not equal."""
    findings: Findings = []
    others: list[str] = []
    for name, apart in given.apart.items():
        named = [thing for thing in things if thing.name == name]
        newest = {given.names[thing.run, thing.key]: thing.content[0] for thing in named}
        models = list(newest.values())
        if any(same_model(a, b) for number, a in enumerate(models) for b in models[:number]):
            findings.append(
                _finding(
                    f"{_some(apart)} are one file, used in one way, and their numbers differ",
                    "look at versions, provider and configuration of each run: a library or a device computes "
                    "otherwise, or the job was asked otherwise",
                )
            )
        else:
            others.append(name)
    if others:
        text = f"told apart by their runs, since file or use differ under one name: {_some(others)}"
        findings.append(_finding(text, "", "note"))
    return findings


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(repr(name) for name in names[:6]) + more
