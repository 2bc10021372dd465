const $ = id => document.getElementById(id);
const records = [...document.querySelectorAll(".rec")];
const items = [...$("items").children];
const NOT_MENTIONED = "\u0000";
let order = records.map((_, i) => i), current = -1, index = null;
document.documentElement.classList.add("js");

const factsOf = record => {
  const facts = new Map();
  for (const row of record.querySelectorAll("tr[data-f]")) {
    const name = row.querySelector("th").firstChild.textContent.trim();
    facts.set(name, [...row.querySelectorAll(".val")].map(v => v.textContent));
  }
  return facts;
};
const facts = records.map(factsOf);

function searchable() {
  if (!index) index = records.map((record, i) => {
    const words = record.querySelector(".words");
    const list = words.querySelector(".mentions");
    let text = words.textContent;
    if (list) text = text.replace(list.textContent, "");
    return [items[i].querySelector(".id").textContent, text, ...facts[i].keys(), ...[...facts[i].values()].flat()]
      .join("\n").toLowerCase();
  });
  return index;
}

function options(select, counted, extra) {
  const keep = select.value;
  select.length = 1;
  for (const [name, n] of counted) select.add(new Option(`${name} (${n})`, name));
  if (extra) select.add(new Option(extra, NOT_MENTIONED));
  select.value = keep;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}
const tally = names => {
  const out = new Map();
  for (const name of names) out.set(name, (out.get(name) || 0) + 1);
  return [...out].sort((a, b) => b[1] - a[1]);
};

options($("dept"), tally(records.map(r => r.dataset.dept).filter(Boolean)));
options($("field"), tally(facts.flatMap(f => [...f.keys()])));

function matches(i) {
  const record = records[i], query = $("q").value.trim().toLowerCase();
  if ($("dept").value && record.dataset.dept !== $("dept").value) return false;
  if ($("review").checked && record.dataset.review === "0") return false;
  if ($("field").selectedIndex > 0) {
    const values = facts[i].get($("field").value);
    if ($("value").value === NOT_MENTIONED) { if (values) return false; }
    else if (!values || ($("value").selectedIndex > 0 && !values.includes($("value").value))) return false;
  }
  return !query || query.split(/\s+/).every(part => searchable()[i].includes(part));
}

function apply() {
  const ranked = records.map((_, i) => i);
  if ($("low").checked) ranked.sort((a, b) => records[a].dataset.low - records[b].dataset.low || a - b);
  order = ranked.filter(matches);
  const seen = new Set(order);
  for (const i of ranked) {
    items[i].hidden = !seen.has(i);
    $("items").append(items[i]);
  }
  $("shown").textContent = order.length;
  $("none").hidden = order.length > 0;
  $("say").textContent = `${order.length} 份 records`;
  if (order.length && !seen.has(current)) show(order[0]);
  else arrange();
}

function arrange() {
  if (current < 0) return;
  for (const body of records[current].querySelectorAll("table.fields tbody")) {
    const sure = row => parseFloat(row.querySelector(".c").textContent);
    const rows = [...body.querySelectorAll("tr[data-f]")];
    rows.forEach((row, i) => { row.dataset.n = row.dataset.n || i; });
    rows.sort((a, b) => ($("low").checked ? (sure(a) || 0) - (sure(b) || 0) : 0) || a.dataset.n - b.dataset.n);
    body.append(...rows);
  }
}

function show(i) {
  if (i < 0 || i >= records.length) return;
  if (current >= 0) {
    records[current].classList.remove("on");
    items[current].firstElementChild.removeAttribute("aria-current");
  }
  current = i;
  records[i].classList.add("on");
  const link = items[i].firstElementChild;
  link.setAttribute("aria-current", "true");
  const list = $("items").closest(".list"), box = link.getBoundingClientRect(), frame = list.getBoundingClientRect();
  if (box.top < frame.top || box.bottom > frame.bottom) link.scrollIntoView({block: "nearest"});
  history.replaceState(null, "", `#r${i}`);
  arrange();
}

function step(by) {
  const at = order.indexOf(current);
  const to = order[Math.min(order.length - 1, Math.max(0, at + by))];
  if (to !== undefined) show(to);
}

for (const id of ["q", "dept", "review", "low", "value"]) $(id).addEventListener("input", apply);
$("field").addEventListener("input", () => {
  const name = $("field").selectedIndex > 0 ? $("field").value : null;
  $("value").disabled = name === null;
  $("value").selectedIndex = 0;
  options($("value"), name === null ? [] : tally(facts.flatMap(f => f.get(name) || [])), name === null ? "" : "未提及 not mentioned");
  apply();
});
$("reset").addEventListener("click", () => {
  $("q").value = "";
  for (const id of ["dept", "field", "value"]) $(id).selectedIndex = 0;
  $("value").disabled = true;
  $("review").checked = $("low").checked = false;
  apply();
});
$("tags").addEventListener("click", () => {
  const on = document.body.classList.toggle("tags");
  $("tags").setAttribute("aria-pressed", on);
});
document.addEventListener("keydown", event => {
  if (event.key === "Escape") $("legend").open = false;
  if (!event.target.closest || !event.target.closest("#items")) return;
  const by = {ArrowDown: 1, ArrowUp: -1}[event.key];
  if (by) { event.preventDefault(); step(by); items[current].firstElementChild.focus(); }
});
document.addEventListener("click", event => {
  if (!event.target.closest("#legend")) $("legend").open = false;
  const link = event.target.closest("#items a");
  if (link) {
    event.preventDefault();
    show(items.indexOf(link.parentElement));
    if (innerWidth <= 900) $("main").scrollIntoView();
  }
  const button = event.target.closest(".step button");
  if (button) {
    step(button.classList.contains("next") ? 1 : -1);
    const twin = records[current].querySelector(button.classList.contains("next") ? ".next" : ".prev");
    twin.focus();
  }
});

// The list of mentions is built when a reader opens it, from what the marks say.
for (const details of document.querySelectorAll(".mentions")) details.addEventListener("toggle", () => {
  const list = details.querySelector("ol"), record = details.closest(".rec");
  if (!details.open || list.children.length) return;
  const told = new Map();
  for (const segment of record.querySelectorAll(".seg[data-m]")) {
    const marks = [...segment.querySelectorAll("mark.m")];
    segment.dataset.m.split(" ").forEach((m, i) => {
      if (!told.has(m)) told.set(m, {title: marks[i].title, segments: [], text: ""});
      told.get(m).segments.push(segment);
      told.get(m).text += segment.textContent;
    });
  }
  for (const [mark, {title, segments, text}] of told) {
    const button = document.createElement("button"), item = document.createElement("li");
    button.type = "button";
    button.dataset.m = mark;
    button.textContent = `${text} — ${title}`;
    button.addEventListener("click", () => flash(segments));
    item.append(button);
    list.append(item);
  }
});

const asked = /^#r(\d+)$/.exec(location.hash);
if (records.length) show(asked && asked[1] < records.length ? Number(asked[1]) : 0);
if (innerWidth <= 900) $("panel").open = false;
