// The review page: which record and which value are chosen, and what the keys do with them.
import {$, el} from "./dom.js";
import {lang, speak, switchLang, t} from "./words.js";
import * as api from "./api.js";
import * as list from "./list.js";
import {textOf} from "./text.js";
import {fieldsTable, mentionsList} from "./fields.js";
import {openEditor, prepareEditor} from "./editor.js";
import {photoPanel} from "./photo.js";

const NARROW = matchMedia("(max-width:900px)");
let facts, counts, record = null, target = null, pane = null, photo = null, timer = null;
let chain = Promise.resolve(), waiting = 0, dropped = 0;

function say(words) {
  $("say").textContent = words;
  $("say").classList.add("on");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => $("say").classList.remove("on"), 3500);
}

// One action after the other, each on what the one before it has chosen: whoever types faster than the server answers gets
// what was typed. Where one fails or has nothing to act on, what was typed after it is dropped.
function act(work) {
  const mine = dropped;
  waiting++;
  document.body.setAttribute("aria-busy", "true");
  chain = chain.then(async () => {
    try {
      if (mine === dropped && await work() === false) dropped++;
    } catch (error) {
      dropped++;
      if (error.code === "seen_too_little") {
        await show(record.row, target);
        say(t("seen-too-little"));
      } else say(t("failed", error.message));
    } finally {
      if (--waiting === 0) document.body.removeAttribute("aria-busy");
    }
  });
}

function nothing(words) {
  say(words);
  return false;
}

async function show(row, wanted = null) {
  draw(await api.record(row), wanted);
}

function draw(given, wanted = null) {
  const other = !record || record.row !== given.row;
  record = given;
  history.replaceState(null, "", `#r${record.row}`);
  const scrolled = other ? 0 : document.querySelector(".pane.values")?.scrollTop || 0, openList = !other && document.querySelector(".mentions")?.open;
  const words = el("section", {class: "pane words", "aria-label": t("text"), tabindex: "0"},
    record.length ? textOf(record) : el("p", {class: "hint"}, t("no-text")), mentionsList(record, choose));
  const missing = record.missing.flatMap(one => one.names);
  const values = el("section", {class: "pane values", "aria-label": t("fields"), tabindex: "0"},
    record.groups.length ? fieldsTable(record, choose) : el("p", {class: "hint"}, t("no-values")),
    missing.length ? el("details", {class: "missing"}, el("summary", {}, `${t("missing")} ${missing.length}`), el("p", {}, missing.join("、"))) : null);
  const pair = el("div", {class: "pair"}, words, values);
  const showsPhoto = record.photo && facts.photos;
  const notes = [...record.warnings.map(one => el("p", {class: "note flag"}, `${t("warning")} ${one}`)),
    ...(showsPhoto ? [] : record.conflicts.map(one => el("p", {class: "note bad"}, `${t("conflict")} ${one}`))),
    ...(!showsPhoto && record.tongue.length ? [el("p", {class: "note"}, `${t("photo")} `, record.tongue.map(([name, value]) => el("span", {class: "pairing"}, `${name} `, el("b", {}, value))))] : [])];
  const head = el("header", {class: "rechead"}, el("h2", {}, record.shown_id),
    el("p", {}, record.dept ? el("b", {}, record.dept) : "", ` · #${(record.row + 1).toLocaleString()}`,
      record.done ? el("span", {class: "signed", title: record.done.at}, ` ✔ ${t("signed")} · ${record.done.who}`) : ""),
    el("div", {class: "step"}, el("button", {type: "button", "aria-label": t("prev"), onclick: () => step(-1)}, "←"), el("button", {type: "button", "aria-label": t("next"), onclick: () => step(1)}, "→")));
  $("main").replaceChildren(el("article", {class: "rec on"}, head, notes, pair));
  if (openList) document.querySelector(".mentions").open = true;
  values.scrollTop = scrolled;
  if (other) $("main").scrollTop = 0;
  list.mark(record.row);
  pane = null;
  if (showsPhoto) loadPhoto(pair);
  target = null;
  if (wanted) choose(wanted.target, wanted.name);
  else tell();
}

async function loadPhoto(pair) {
  const waits = el("section", {class: "pane photo"}, el("p", {class: "gone"}, t("loading")));
  document.documentElement.classList.add("js");
  pair.classList.add("pictured");
  pair.prepend(waits);
  try {
    if (photo?.row !== record.row) {
      const {row, marks} = record, told = await api.photo(row);
      // Decisions move the numbers of the marks; the names of mentions stay.
      photo = {...told, row, looks: Object.fromEntries(Object.entries(told.looks).map(([n, look]) => [marks[n], look]))};
    }
    if (!pair.isConnected) return;
    pane = photoPanel(record, photo);
    waits.replaceWith(pane);
    if (target && target.target === "mention") pane.look?.(target.name);
  } catch (error) {
    waits.remove();
    pair.classList.remove("pictured");
    if (error.code !== "no_photo") say(t("failed", error.message));
  }
}

const rowsOf = () => [...document.querySelectorAll(".item")];
const fieldsOf = () => record ? record.groups.flatMap(group => group.rows) : [];
const found = () => target && (target.target === "field" ? fieldsOf() : record.mentions).find(one => one.name === target.name);

function choose(kind, name, {focus = true} = {}) {
  target = {target: kind, name};
  for (const one of document.querySelectorAll(".item.on, .seg.hot")) one.classList.remove("on", "hot");
  for (const one of document.querySelectorAll('.pick[aria-current]')) one.removeAttribute("aria-current");
  const row = rowsOf().find(one => one.dataset.target === kind && one.dataset.name === name);
  if (!row) {
    target = null;
    return tell();
  }
  row.classList.add("on");
  if (kind === "mention") row.closest("details").open = true;
  const pick = row.querySelector(".pick");
  pick.setAttribute("aria-current", "true");
  if (focus) pick.focus({preventScroll: true});
  const number = String(record.marks.indexOf(name));
  const hot = [...document.querySelectorAll(".words .seg")].filter(one => kind === "field" ? one.fields.includes(name) : (one.dataset.m || "").split(" ").includes(number));
  for (const one of hot) one.classList.add("hot");
  row.scrollIntoView({block: "nearest"});
  if (hot.length && !NARROW.matches) hot[0].scrollIntoView({block: "nearest"});
  if (kind === "mention" && pane) pane.look?.(name);
  tell();
}

function tell() {
  const one = found();
  $("now").textContent = one ? (target.target === "field" ? `${one.label} = ${one.values.join("、")}${one.unit || ""}` : `${one.text} · ${one.type}`) : "";
  for (const name of ["accept", "reject", "edit"]) document.querySelector(`[data-act=${name}]`).disabled = !one;
}

async function decide(decision) {
  const now = await api.decide(record.row, {after: record.last, who: $("who").value.trim() || facts.reviewer, ...decision});
  draw(now, decision.target === "record" ? null : {target: decision.target, name: decision.name || now.marks.at(-1)});
  await refresh();
  return now;
}

async function refresh() {
  counts = await api.progress();
  const {records, done, flagged, decided, ready, share, fault} = counts;
  $("bar").max = Math.max(1, records);
  $("bar").value = done;
  $("told").textContent = fault ? t("failed", fault) : t("told", done.toLocaleString(), records.toLocaleString(), decided.toLocaleString(), flagged.toLocaleString())
    + (ready ? "" : ` · ${t("reading", Math.floor(100 * share))}`);
  const line = list.page.records.find(one => record && one.row === record.row);
  if (line) {
    const open = record.done ? 0 : fieldsOf().filter(one => one.flagged && !one.decision).length;
    const touched = [...fieldsOf(), ...record.mentions].some(one => one.decision);
    Object.assign(line, {open, state: record.done ? 2 : touched ? 1 : 0});
    list.draw(record.row);
  }
  clearTimeout(timer);
  if (!ready) timer = setTimeout(async () => { await refresh(); list.fillFilters(facts, counts); if (!record) await first(); }, 1000);
}

const step = by => act(async () => {
  const next = record ? await list.neighbour(record.row, by) : null;
  if (next === null) return nothing(t(by > 0 ? "last-record" : "first-record"));
  await show(next);
  if (!document.activeElement || document.activeElement === document.body) $("main").focus({preventScroll: true});
});

const low = by => act(async () => {
  const open = fieldsOf().filter(one => one.flagged && !one.decision && !record.done);
  const order = fieldsOf(), at = target && target.target === "field" ? order.findIndex(one => one.name === target.name) : (by > 0 ? -1 : order.length);
  const here = by > 0 ? open.find(one => order.indexOf(one) > at) : open.filter(one => order.indexOf(one) < at).at(-1);
  if (here) {
    choose("field", here.name);
    return;
  }
  const row = record ? await list.neighbourLow(record.row, by) : null;
  if (row === null) return nothing(t("no-more"));
  await show(row);
  const there = fieldsOf().filter(one => one.flagged && !one.decision);
  if (there.length) choose("field", there.at(by > 0 ? 0 : -1).name);
});

function item(by) {
  const rows = rowsOf().filter(one => one.dataset.target === (target?.target || "field"));
  const at = rows.findIndex(one => one.classList.contains("on"));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by];
  if (next) choose(next.dataset.target, next.dataset.name);
}

const decideOn = action => act(async () => {
  const one = found();
  if (!one) return nothing(t("choose-first"));
  await decide({...target, action});
  say(t("saved", `${t(`d-${action}`)} · ${one.label || one.text}`));
});

const edit = adding => act(() => {
  if (!record || (!adding && !found())) return nothing(t("choose-first"));
  openEditor({facts, record, ...target, adding}, async decision => {
    await decide(decision);
    say(t("saved", t(`d-${decision.action}`)));
  });
});

const ACTS = {
  accept: () => decideOn("accept"), reject: () => decideOn("reject"), edit: () => edit(false), add: () => edit(true), "low-on": () => low(1),
  undo: () => act(async () => {
    const back = await api.undo($("who").value.trim() || facts.reviewer);
    draw(back, back.undone.target === "record" ? null : back.undone);
    await refresh();
    say(t("undone", back.undone.name || t("done")));
  }),
  done: () => act(async () => {
    if (!record) return;
    const row = record.row;
    await decide({target: "record", action: "done"});
    const next = await list.neighbour(row, 1);
    if (next === null) return nothing(`${t("saved", t("done"))} ${t("last-record")}`);
    await show(next);
    say(t("saved", t("done")));
  }),
};

const KEYS = {
  j: () => step(1), k: () => step(-1), n: () => low(1), p: () => low(-1), a: ACTS.accept, r: ACTS.reject, e: ACTS.edit, i: ACTS.add, u: ACTS.undo, d: ACTS.done,
  "/": () => { $("panel").open = true; $("q").focus(); $("q").select(); }, l: () => { $("low").click(); }, "?": () => $("help").showModal(),
};
const HELP = [[["j", "k"], "k-record"], [["n", "p"], "k-low"], [["↓", "↑"], "k-item"], [["a"], "accept"], [["r"], "reject"], [["e"], "edit"], [["i"], "k-add"],
  [["u"], "k-undo"], [["d"], "k-done"], [["/"], "k-find"], [["l"], "k-low-first"], [["?"], "k-help"], [["Esc"], "k-esc"]];

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || document.querySelector("dialog[open]")) return;
  const into = event.target;
  if (into.matches("input:not([type=checkbox]),select,textarea")) {
    if (event.key === "Escape") { into.blur(); $("main").focus({preventScroll: true}); }
    return;
  }
  if (into.closest(".item, .values") && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    return item(event.key === "ArrowDown" ? 1 : -1);
  }
  if (!$("keys-on").checked || event.repeat && !"jknp".includes(event.key)) return;
  const key = KEYS[event.key];
  if (!key) return;
  event.preventDefault();
  key();
}

function words() {
  speak();
  $("lang").textContent = lang() === "en" ? "中文" : "English";
  $("lang").lang = lang() === "en" ? "zh-CN" : "en";
  $("keys").replaceChildren(...HELP.map(([keys, word]) => el("div", {}, el("dt", {}, keys.map(one => el("kbd", {}, one))), el("dd", {}, t(word)))));
  const en = lang() === "en";
  $("legend-body").replaceChildren(el("dl", {}, facts.families.map(family => el("div", {}, el("dt", {}, en ? family.en : family.zh),
    el("dd", {}, family.types.map(([name, english]) => [el("mark", {class: `m ${facts.type_classes[name]} l0 a z`}, name), en ? el("small", {}, ` ${english} `) : " "]))))),
  el("dl", {}, el("div", {}, el("dt", {}, t("status")), el("dd", {}, facts.status_classes.map(([name, css, english]) => [el("mark", {class: `m k0 ${css} l0 a z`}, name), en ? el("small", {}, ` ${english} `) : " "]))),
    el("div", {}, el("dt", {}, t("other")), el("dd", {}, el("span", {class: "seg ev"}, t("evidence-of")), " ", el("span", {class: "inv", role: "img", "data-u": "ZWSP", "aria-label": "ZWSP"}), ` ${t("hidden")} `,
      el("span", {class: "flag"}, "⚑"), ` ${t("flag")}`)), facts.provenance.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, el("code", {}, value))))));
}

async function first() {
  const asked = /^#r(\d+)$/.exec(location.hash);
  if (asked && Number(asked[1]) < counts.records) await show(Number(asked[1]));
  else if (list.page.records.length) await show(list.page.records[0].row);
  else {
    await list.load();
    if (list.page.records.length) await show(list.page.records[0].row);
    else $("main").replaceChildren(el("p", {class: "hint"}, t(counts.ready ? "none" : "loading")));
  }
  list.mark(record ? record.row : -1);
}

const search = () => act(async () => {
  await list.load({open: record ? record.row : null});
  if (list.page.records.length && !list.page.records.some(one => record && one.row === record.row)) await show(list.page.records[0].row);
});

function listen() {
  document.addEventListener("keydown", onKey);
  let wait = null;
  $("filters").addEventListener("input", event => {
    if (event.target.id === "field") list.fillValues(facts);
    clearTimeout(wait);
    wait = setTimeout(search, event.target.id === "q" ? 300 : 0);
  });
  $("filters").addEventListener("submit", event => { event.preventDefault(); search(); });
  $("reset").addEventListener("click", () => {
    $("filters").reset();
    list.fillValues(facts);
    search();
  });
  $("items").addEventListener("click", event => {
    const link = event.target.closest(".rec-link");
    if (!link) return;
    act(async () => {
      await show(Number(link.dataset.row));
      if (NARROW.matches) { $("panel").open = false; $("main").scrollIntoView(); }
    });
  });
  $("page-on").addEventListener("click", () => act(() => list.load({cursor: list.page.records.at(-1).row, open: record?.row})));
  $("page-back").addEventListener("click", () => act(() => list.load({cursor: list.page.records[0].row, back: true, open: record?.row})));
  for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => ACTS[button.dataset.act]());
  $("main").addEventListener("click", event => {
    const segment = event.target.closest(".seg");
    if (!segment || String(getSelection())) return;
    // The innermost mention first, then outward, then the fields whose evidence this is.
    const here = [...(segment.dataset.m || "").split(" ").filter(Boolean).reverse().map(n => ["mention", record.marks[n]]), ...segment.fields.map(name => ["field", name])];
    if (!here.length) return;
    const at = here.findIndex(([kind, name]) => target && target.target === kind && target.name === name);
    choose(...here[(at + 1) % here.length], {focus: false});
  });
  $("who").addEventListener("input", () => localStorage.setItem("tcmstruct.who", $("who").value));
  $("lang").addEventListener("click", () => { switchLang(); words(); list.fillFilters(facts, counts); list.draw(record?.row); if (record) draw(record, target); refresh(); });
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("help-no").addEventListener("click", () => $("help").close());
  $("legend-open").addEventListener("click", () => $("legend").showModal());
  $("legend-no").addEventListener("click", () => $("legend").close());
  $("keys-on").checked = localStorage.getItem("tcmstruct.keys") !== "off";
  $("keys-on").addEventListener("input", () => localStorage.setItem("tcmstruct.keys", $("keys-on").checked ? "on" : "off"));
}

act(async () => {
  [facts, counts] = await Promise.all([api.facts(), api.progress()]);
  $("who").value = localStorage.getItem("tcmstruct.who") ?? facts.reviewer;
  $("own").hidden = !facts.own_fields;
  list.restore(facts, counts);
  words();
  prepareEditor();
  listen();
  if (NARROW.matches) $("panel").open = false;
  await list.load();
  await first();
  await refresh();
  document.documentElement.dataset.ready = "yes";
});
