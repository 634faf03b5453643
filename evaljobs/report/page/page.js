// Tables that sort, leaderboards that filter, panels of models that are built when they are opened.
"use strict";

const collator = new Intl.Collator("en", { numeric: true });

// Tables. A grid has heads [name, title, numeric] and lines [model, cell, ...]; a cell is its text, or
// [text, value, exact, strong]. Heads and notes are numbers of what all tables share.

function cellOf(cell, [name, title, numeric], model) {
  const [text, value, exact, strong] = Array.isArray(cell) ? cell : [cell];
  const looks = [numeric && "n", strong && "strong"].filter(Boolean).join(" ") || null;
  if (name === "model") return make("th", { scope: "row" }, model === null ? text : linkTo(model));
  const td = make("td", { class: looks, "data-value": value ?? (exact || null) }, text);
  if (exact) td.append(" ", copyButton(exact, title));
  return td;
}

function headOf([name, title, numeric]) {
  const button = make("button", { type: "button", class: "sort" }, title);
  return make("th", { scope: "col", "data-name": name, class: numeric ? "n" : null, "aria-sort": "none" }, button);
}

const headsOf = (grid) => grid.heads.map((number) => data.shared[number]);

function fill(table, grid) {
  const heads = headsOf(grid);
  const row = ([model, ...cells]) =>
    make("tr", { "data-model": model }, ...cells.map((cell, i) => cellOf(cell, heads[i], model)));
  table.tHead.replaceChildren(make("tr", {}, ...heads.map(headOf)));
  table.tBodies[0].replaceChildren(...grid.lines.map(row));
}

function tableOf(grid) {
  const table = make("table", { class: "sortable" }, make("caption", {}, grid.title), make("thead"), make("tbody"));
  fill(table, grid);
  const scroll = make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": grid.title }, table);
  return [scroll, ...notesOf(grid)];
}

const notesOf = (grid) => grid.notes.map((number) => make("p", { class: "note" }, data.shared[number]));

// Ties keep their order; what has no number comes last, whatever the direction.
function sort(table, column, descending) {
  const heads = [...table.tHead.rows[0].cells];
  const numeric = heads[column].classList.contains("n");
  const keyOf = (cell) => (numeric ? (cell.dataset.value ?? null) && Number(cell.dataset.value) : cell.textContent);
  const keyed = [...table.tBodies[0].rows].map((row) => [keyOf(row.cells[column]), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = numeric ? a - b : collator.compare(a, b);
    return descending ? -order : order;
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
  const order = descending ? "descending" : "ascending";
  heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? order : "none"));
}

// Numbers start with the largest, ranks and words with the first.
function sortClicked(button) {
  const head = button.closest("th");
  const before = head.getAttribute("aria-sort");
  const largestFirst = head.classList.contains("n") && head.dataset.name !== "rank";
  const descending = before === "none" ? largestFirst : before === "ascending";
  sort(head.closest("table"), head.cellIndex, descending);
  say(`Sorted by ${button.textContent}, ${descending ? "descending" : "ascending"}`);
}

async function copyClicked(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    say(`Copied ${button.dataset.copy.includes("\n") ? "the text" : button.dataset.copy}`);
    button.textContent = "copied";
  } catch {
    button.replaceWith(make("code", {}, button.dataset.copy)); // to be taken by hand
  }
  setTimeout(() => { button.textContent = "copy"; }, 2000);
}

// Leaderboards

function filter(section) {
  const words = find(".words", section).value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = all(".tag", section).filter((select) => select.value);
  const rows = all("tbody tr", find("table", section));
  for (const row of rows) {
    const tags = data.models[row.dataset.model]?.tags ?? {};
    const text = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join(" ");
    const named = words.every((word) => text.includes(word));
    // The value of an option is `=` and that of the tag: an empty one means any.
    row.hidden = !named || !chosen.every(({ dataset, value }) => `=${tags[dataset.tag]}` === value);
  }
  const left = rows.filter((row) => !row.hidden).length;
  find(".count", section).textContent = `${left} of ${rows.length} shown`;
}

function headline(box, { best, sentence, verdict, certainty, facts }) {
  find(".best", box).hidden = best === null;
  find(".name", box).textContent = best ?? "";
  find(".badge", box).dataset.verdict = verdict;
  find(".badge", box).textContent = certainty;
  find(".sentence", box).textContent = sentence;
  const fact = ([label, text, exact]) => {
    const copy = exact ? [" ", copyButton(exact, label)] : [];
    return make("div", {}, make("dt", {}, label), make("dd", {}, text, ...copy));
  };
  find(".facts", box).replaceChildren(...facts.map(fact));
}

// Show the leaderboard of another choice, such as an FPR, in the order in which this one was sorted.
function choose(section, choice) {
  const found = data.sections[section.dataset.section];
  const board = found.boards[choice];
  const table = find("table", section);
  const by = find("th[aria-sort$=ending]", table);
  fill(table, board);
  find("caption", table).textContent = board.title;
  find(".notes", section).replaceChildren(...notesOf(board));
  const column = by ? headsOf(board).findIndex(([name]) => name === by.dataset.name) : -1;
  if (column >= 0) sort(table, column, by.getAttribute("aria-sort") === "descending");
  if (found.headlines[choice]) headline(find(".headline", section), found.headlines[choice]);
  found.chosen = choice;
  filter(section);
  redraw(section);
}

// Panels of models

function sideOf([id, label, number]) {
  const blank = make("span", { class: "blank" }, "no picture");
  const image = number === null ? blank : make("img", { src: data.thumbnails[number], alt: "" });
  return make("figure", {}, image, make("figcaption", {}, make("b", {}, label), " ", id));
}

function pairsOf(pairs, genuine, title) {
  const some = pairs.filter((pair) => Boolean(pair[0]) === genuine);
  const item = ([, score, a, b]) =>
    make("li", {}, sideOf(a), sideOf(b), make("p", {}, `score ${score.toFixed(4)}`));
  return some.length ? [make("h4", {}, title), make("ul", { class: "pairs" }, ...some.map(item))] : [];
}

function pictureOf([title, uri, alt, caption, file]) {
  const image = uri === null ? `There was no room for this picture here: ${file}` : make("img", { src: uri, alt });
  return make("figure", {}, make("h4", {}, title), image, make("figcaption", {}, caption));
}

function partOf(section, { findings, grids, charts, pictures, pairs }) {
  const said = findings.map(([level, text, advice]) => make("li", { class: level }, `${text} ${advice}`));
  const drawn = charts.map((chart) => {
    const holder = make("section", { class: "chart" }, make("h4", {}, chart.title), make("p", {}, chart.alt));
    watch(holder, chart, section);
    return holder;
  });
  return [
    make("h4", {}, section.title),
    make("ul", { class: "findings" }, ...said),
    ...grids.flatMap(tableOf),
    ...drawn,
    ...pictures.map(pictureOf),
    ...pairsOf(pairs, false, "Impostor pairs with the highest scores"),
    ...pairsOf(pairs, true, "Genuine pairs with the lowest scores"),
  ];
}

function entryOf([name, text, copied]) {
  const value = copied ? [make("code", {}, text), " ", copyButton(text, name)] : [text];
  return make("div", {}, make("dt", {}, name), make("dd", {}, ...value));
}

function buildPanel(number) {
  const model = data.models[number];
  const heading = make("h3", { tabindex: "-1" }, model.name);
  const parts = data.sections.flatMap((section) => {
    section.marked = model.name;
    return section.panels[number] ? partOf(section, section.panels[number]) : [];
  });
  const about = make("dl", { class: "entries" }, ...model.entries.map(entryOf));
  find("#panel").replaceChildren(heading, ...parts, make("h4", {}, "About this model"), about);
  find("#model").value = number;
  redraw(document);
  return heading;
}

function openModel(number) {
  if (!data.models[number]) return;
  const heading = buildPanel(number);
  find("#models").scrollIntoView();
  heading.focus({ preventScroll: true });
}

function follow() {
  const match = /^#model-(\d+)$/.exec(location.hash);
  if (match) openModel(Number(match[1]));
}

// What starts it all

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches(".sort")) sortClicked(button);
  if (button?.matches(".copy")) copyClicked(button);
  const link = event.target.closest("a");
  if (link?.hash) document.getElementById(link.hash.slice(1))?.closest("details")?.setAttribute("open", "");
  if (link?.hash === location.hash) follow(); // the same model once more
});
for (const section of all(".result")) {
  const found = data.sections[section.dataset.section];
  all(".chart", section).forEach((holder) => watch(holder, found.charts[holder.dataset.chart], found));
  const tools = find("form", section);
  if (!tools) continue;
  filter(section);
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", (event) => {
    if (event.target.matches(".choice")) choose(section, event.target.value);
    else filter(section);
  });
}
find("#model").addEventListener("change", (event) => {
  if (event.target.value) location.hash = `#model-${event.target.value}`;
});
addEventListener("hashchange", follow);
// The best model's panel is open at first: people look at its hardest pairs before they believe its rates.
const [first] = data.sections;
const best = numberOf(first?.headlines[first.chosen]?.best);
if (best >= 0) buildPanel(best);
follow();
