"""Models of several runs on one page: of which run each is, where equal names are models of several runs."""

from __future__ import annotations

from evaljobs.report.results import Document

# As a tag that models of one block share; no tag of a configuration has a name like it.
JOINED_RUN = "(run)"


def runs_of_models(results: Document) -> dict[str, str]:
    """Return the run of each model, by its name, where runs were joined and models told apart by them.

    Two nights have models of equal tags and other files: those of one night belong together. A model that several runs
    have belongs to the newest of them. A run of which no model was told apart is left out, as are its models.

    Returns
    -------
    dict
        Empty for one run, and where nothing was told apart.
    """
    runs = (results.get("joined") or {}).get("runs") or ()
    newest = {one["model"]: run["name"] for run in runs for one in run["results"]}
    told = {run["name"] for run in runs for one in run["results"] if one["model"] != one["own_name"]}
    return {model: run for model, run in newest.items() if run in told}
