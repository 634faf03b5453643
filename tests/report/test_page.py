"""The page as text: one file, whose policy fits its scripts, and in which names cannot become anything else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.report.kinds import sections
from evaljobs.report.page import images, render_page, views
from evaljobs.report.page.encoding import all_visible, data_uri, json_for_script, script_hash
from evaljobs.report.page.grids import grid_of
from evaljobs.report.page.images import ALWAYS, OF_AN_EVALUATION, PAGE, Album, room_for
from evaljobs.report.section import Table
from evaljobs.report.tables.columns import Column, Kind
from tests.browser.runs import Run, make_run

PNG = b"\x89PNG\r\n\x1a\n"


class Elements(HTMLParser):
    """The elements of a page, and what stands in its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._open: dict[str, str | None] | None = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._open = dict(attrs)
            self.scripts.append((self._open, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run(["one", "two", "three"], failed=["broken"])


@pytest.fixture(scope="module")
def page(run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    return run.write(tmp_path_factory.mktemp("page")).read_text(encoding="utf-8")


def test_the_policy_names_the_scripts_by_their_hashes(page: str) -> None:
    """What runs is what was written; a page with one more script or another byte does not run it."""
    found = Elements(page)
    (policy,) = [a["content"] or "" for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for unsafe in ("unsafe-eval", "script-src 'unsafe-inline'", "http", "*"):
        assert unsafe not in policy
    scripts = [text for attributes, text in found.scripts if "type" not in attributes]
    assert len(scripts) == 2
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes


def test_nothing_is_loaded_and_nothing_is_inline(page: str) -> None:
    """No element has an address outside the page, or a handler."""
    addressed = [(tag, a) for tag, a in Elements(page).tags for name in ("src", "href", "action") if a.get(name)]
    assert addressed
    places = [a.get("src") or a.get("href") or a.get("action") or "" for _, a in addressed]
    assert [place for place in places if not place.startswith(("#", "data:image/png;base64,"))] == []
    assert [tag for tag, a in Elements(page).tags if any(name.startswith("on") for name in a)] == []


def test_ids_are_unique_and_labels_lead_to_them(page: str) -> None:
    """What refers to another element finds it."""
    attributes = [a for _, a in Elements(page).tags]
    ids = [a["id"] for a in attributes if "id" in a]
    assert len(ids) == len(set(ids)) > 5
    for name in ("aria-labelledby", "for"):
        assert {a[name] for a in attributes if name in a} <= set(ids)


def test_tables_stand_there_without_javascript(page: str, run: Run) -> None:
    """The chosen leaderboard, failures, sets and digests are in the HTML itself."""
    before = page.partition('<script type="application/json"')[0]
    for model in run.document["models"]:
        assert model["name"] in before
    assert "broken is no ONNX file; export it again" in before
    assert run.document["config_digest"] in before
    assert "<noscript>" in before


def test_equal_runs_have_equal_pages(run: Run, page: str, tmp_path: Path) -> None:
    """The page is a function of the results."""
    assert run.write(tmp_path).read_text(encoding="utf-8") == page


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values | st.sampled_from(["</script>", "<!--<script>", "\u2028", "]]>", "\ud800"]))
def test_json_in_a_script_is_the_same_json(value: Any) -> None:
    """It cannot end its element, whatever it holds, and is read as what it was."""
    text = json_for_script(value)
    assert text.isascii()
    assert not {"<", ">", "&"} & set(text)
    assert json.loads(text) == value


@given(json_values)
def test_what_is_shown_can_be_seen(value: Any) -> None:
    """No control character and none that turns text around is left in any text, as key or value."""
    shown = json.dumps(all_visible(value), ensure_ascii=False)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]", shown)


def test_numbers_that_json_has_not_are_refused() -> None:
    """A page never holds NaN."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_for_script([float("nan")])


def test_only_pictures_become_images() -> None:
    """SVG can hold scripts: a file is taken for what its first bytes say, not for its name."""
    assert data_uri(PNG) == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert (data_uri(b"\xff\xd8\xff\xe0") or "").startswith("data:image/jpeg;base64,")
    assert data_uri(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>") is None


def test_an_album_has_a_limit_and_holds_each_image_once() -> None:
    """What does not fit is counted; an image that is there takes no more room."""
    album = Album(2 * len(data_uri(PNG + b"1") or ""))
    assert [album.add(PNG + last) for last in (b"1", b"2", b"1", b"3", b"2")] == [0, 1, 0, None, 1]
    assert (len(album.uris), album.left_out) == (2, 1)
    assert [album.add(None), album.add(b"no picture")] == [None, None]


def test_a_hash_is_that_of_the_policy_level_3() -> None:
    """The example of the specification: https://www.w3.org/TR/CSP3/#external-hash has this form."""
    assert script_hash("alert('Hello, world.');") == "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"


def test_a_roc_chart_has_the_numbers_of_the_tables(tmp_path: Path) -> None:
    """At each target, resolved or not, its number is that of the results; no corner is moved beyond a target."""
    run = make_run(["one", "two"], n=60, targets=("1e-6", "1e-4", "1e-2", "0.0123456"))
    (section,) = sections(run.document, run.tables, tmp_path)
    (chart,) = [chart for chart in section.whole.charts if chart.kind == "roc"]
    results = {e["model"]: e["result"] for e in run.document["evaluations"]}
    assert {curve["name"] for curve in chart.data["curves"]} == set(results)
    assert all("unresolved" in result["points"][0]["flags"] for result in results.values())
    for curve in chart.data["curves"]:
        points = results[curve["name"]]["points"]
        assert curve["at"] == pytest.approx([point["tpr"] for point in points], rel=1e-5)
        assert curve["fpr"][0] == 1 / chart.data["n_impostor"]
        for point in points[2:]:
            before = [tpr for fpr, tpr in zip(curve["fpr"], curve["tpr"], strict=True) if fpr <= point["target"]]
            assert before[-1] == pytest.approx(point["tpr"], abs=1e-4)


def test_a_table_keeps_its_front_and_names_the_file_that_has_all() -> None:
    """What stands beyond the limit is left out, but for the front; a file is named where there is one alone."""
    column = Column("name", "model", "name", Kind.TEXT)
    rows = [{"name": f"m{n}", "on_front": n in {1, 8}} for n in range(10)]
    table = Table("front", "Front", [column], rows, ["a note"])
    grid = grid_of(table, {}, 4, "summary/front.csv")
    assert [line.cells[0].text for line in grid.lines] == ["m0", "m1", "m2", "m8"]
    assert grid.notes == ["a note", "6 more rows are not shown: summary/front.csv has all rows"]
    assert grid_of(table, {}, 1).notes == ["a note", "8 more rows are not shown: no file has them"]
    assert [line.cells[0].text for line in grid_of(table, {}, 1).lines] == ["m1", "m8"]
    assert grid_of(table, {}, 10).notes == ["a note"]


def test_files_are_named_where_they_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Times differ between equal runs, and are in no file; runs that are joined have no files of their own."""
    monkeypatch.setattr(views, "MOST_ROWS", 1)
    run = make_run(["one", "two", "three"])
    # The best is the fastest too, hence alone on that front.
    tprs = {e["model"]: e["result"]["points"][0]["tpr"] for e in run.document["evaluations"]}
    run.document["execution"]["models"] = {name: {"images_per_s": 1 + tpr} for name, tpr in tprs.items()}
    made = sections(run.document, run.tables, tmp_path)
    (timed,) = {table.name for table in made[0].whole.tables} - {table.name for table in made[0].files}
    for summary, gflops in (
        ([f"summary/{table.name}.csv" for table in made[0].files], "summary/front-gflops.csv"),
        ([], ""),
    ):
        book = views.book_of({**run.document, "summary": summary}, made, [])
        said = {grid.name: grid.notes[-1] for grid in book.views[0].grids if grid.left_out}
        assert said[timed].endswith("no file has them")
        assert said["front-gflops"].endswith(f"{gflops} has all rows" if gflops else "no file has them")


def test_up_to_450_evaluations_leave_the_page_below_its_limit() -> None:
    """Images take what evaluations leave; the best models have theirs in any case."""
    for n in range(0, 451, 50):
        room = room_for(n)
        assert ALWAYS + n * OF_AN_EVALUATION + sum(room) <= PAGE
    assert room_for(10**6) == room_for(10**5)
    assert min(room_for(10**6)) > 0


def test_thumbnails_without_room_are_counted(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is the evaluations that take the room, and the page says how many pictures it took."""

    def left_out(document: dict[str, Any]) -> int:
        made = sections(document, run.tables, tmp_path)
        (said,) = re.findall(rb"There was no room for ([\d,]+) of the small pictures", render_page(document, made)) or [
            b"0"
        ]
        return int(said.replace(b",", b""))

    run.write(tmp_path)
    assert left_out(run.document) == 0
    monkeypatch.setattr(images, "OF_AN_EVALUATION", (PAGE - ALWAYS) / 8)
    monkeypatch.setattr(images, "THUMBNAILS", 40_000)
    few = left_out(run.document)
    assert left_out({**run.document, "evaluations": run.document["evaluations"] * 2}) > few


def test_the_configuration_can_be_copied(run: Run, tmp_path: Path) -> None:
    """It stands on the page as it was read, line by line, whatever is written in it."""
    text = "images: {folder: '</pre><script>alert(1)</script>'}\nmodels:\n- 'a\u202e.onnx'\n"
    document = {**run.document, "execution": {**run.document["execution"], "config": text}}
    found = Elements(render_page(document, sections(document, run.tables, tmp_path)).decode())
    (copied,) = [a["data-copy"] for _, a in found.tags if a.get("aria-label") == "Copy the configuration"]
    assert copied == text.replace("\u202e", "\\u202e")
    assert len(found.scripts) == 3
    joined = {**document, "joined": {"runs": [], "findings": []}}
    assert b"Copy the configuration" not in render_page(joined, [])


SCALE = """
import sys, time
from pathlib import Path
from tests.browser.runs import many_models
from evaljobs.report.writing import write_results
run = many_models(300, ["1e-5", "1e-4", "1e-3", "1e-2", "0.1", "1"])
before = time.process_time()
write_results(run.document, run.tables, Path(sys.argv[1]))
seconds = time.process_time() - before
# Not ru_maxrss: it begins with what the process held that started this one.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(seconds, int(peak.split()[1]) / 1024)
"""


@pytest.mark.slow
def test_three_hundred_models_take_seconds_and_little_memory(tmp_path: Path) -> None:
    """All files of 300 models at 6 targets: 30 seconds and 500 MB, and a page below 12 MB."""
    done = subprocess.run(
        [sys.executable, "-c", SCALE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 30
    assert megabytes < 500
    assert (tmp_path / "report.html").stat().st_size < 12_000_000
