// Lays the chosen mention's attention over the photograph of its record. The numbers stand in the record's block of JSON.
const GRID = 7, STRONGEST = 0.72;
const panels = new Map();

function panelOf(record) {
  if (!panels.has(record)) {
    const photo = record.querySelector(".photo"), block = photo && photo.querySelector("script.looks");
    panels.set(record, block ? {record, photo, looks: JSON.parse(block.textContent), chosen: null} : null);
    if (block) prepare(panels.get(record));
  }
  return panels.get(record);
}

function prepare(panel) {
  const told = new Map();
  for (const segment of panel.record.querySelectorAll(".seg[data-m]")) {
    const marks = [...segment.querySelectorAll("mark.m")];
    segment.dataset.m.split(" ").forEach((m, i) => {
      if (!(m in panel.looks)) return;
      segment.classList.add("look");
      const words = told.get(m) || {text: "", title: marks[i].title.split(" · ")[0]};
      words.text += segment.textContent;
      told.set(m, words);
    });
  }
  const select = panel.photo.querySelector(".ask");
  for (const [m, {text, title}] of told) {
    const gate = panel.looks[m].gate;
    select.add(new Option(`${text.slice(0, 24)} · ${title}${gate === null ? "" : ` · 门 ${gate.toFixed(2)}`}`, m));
  }
  select.addEventListener("input", () => choose(panel, select.value || null));
  choose(panel, null);
}

function choose(panel, mark) {
  panel.chosen = mark;
  panel.photo.classList.toggle("asked", mark !== null);
  panel.photo.querySelector(".ask").value = mark === null ? "" : mark;
  for (const old of panel.record.querySelectorAll(".chosen")) old.classList.remove("chosen");
  if (mark !== null) for (const s of segmentsOf(panel.record, "m", mark)) s.classList.add("chosen");
  const look = mark === null ? null : panel.looks[mark];
  draw(panel.photo.querySelector(".cells"), look);
  caption(panel.photo.querySelector(".looked"), look);
  if (look) setPressed("map", true);
}

function draw(group, look) {
  group.replaceChildren(...(look ? look.w : []).map((step, i) => {
    const cell = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const place = {x: i % GRID, y: Math.floor(i / GRID), width: 1, height: 1, "fill-opacity": (STRONGEST * step / 99).toFixed(3)};
    for (const [name, value] of Object.entries(place)) cell.setAttribute(name, value);
    return cell;
  }));
}

const small = words => Object.assign(document.createElement("small"), {textContent: words});
function caption(line, look) {
  if (!look) {
    line.replaceChildren(small("点原文中的标注，或从列表选择 · click a mention in the text, or choose from the list"));
    return;
  }
  const gate = look.gate === null ? "" : ` · 门 gate ${look.gate.toFixed(2)}`;
  const head = Object.assign(document.createElement("b"), {textContent: `注意力 attention${gate}`});
  line.replaceChildren(head,
    small("模型看了哪里，不是诊断 · where the model looked, not a diagnosis"),
    small(`最强一格 peak ${(100 * look.top).toFixed(1)} % · 均匀 even ${(100 / GRID ** 2).toFixed(1)} %`));
}

function setPressed(what, on) {
  document.documentElement.classList.toggle(`no-${what}`, !on);
  for (const button of document.querySelectorAll(`button[data-hides="${what}"]`)) button.setAttribute("aria-pressed", on);
}

document.addEventListener("click", event => {
  const toggle = event.target.closest("button[data-hides]");
  if (toggle) return setPressed(toggle.dataset.hides, toggle.getAttribute("aria-pressed") !== "true");
  const record = event.target.closest(".rec"), from = event.target.closest(".seg[data-m], .mentions button[data-m]");
  const panel = record && from && !String(getSelection()) && panelOf(record);
  if (!panel) return;
  // Innermost first; a second click on nested mentions goes on to the next one outward.
  const marks = from.dataset.m.split(" ").reverse().filter(m => m in panel.looks);
  if (marks.length) choose(panel, marks[(marks.indexOf(panel.chosen) + 1) % marks.length]);
});
document.addEventListener("keydown", event => {
  const panel = event.key === "Escape" && panels.get(document.querySelector(".rec.on"));
  if (panel && panel.chosen !== null) choose(panel, null);
});
// A record's maps are read when it is opened, not before.
const opened = new MutationObserver(changes => {
  for (const {target} of changes) if (target.classList.contains("on")) panelOf(target);
});
for (const record of records) opened.observe(record, {attributeFilter: ["class"]});
if (current >= 0) panelOf(records[current]);
