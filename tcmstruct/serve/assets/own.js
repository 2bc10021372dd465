// The page of own fields: which pack and field are open; every change is tried on the records at once.
import {$, el} from "./dom.js";
import {lang, speak, switchLang, t} from "./words.js";
import "./own_words.js";
import {ask, post} from "./api.js";
import {drawForm, fits, showFindings} from "./own_form.js";
import {foundPart} from "./own_found.js";

const WAIT_MS = 250, READ_AGAIN_MS = 700, MOST_UNDO = 100, DRAFT = "tcmstruct.own";
let facts, answer = null, form = null, chosen = null, toml = "", saved = {name: "", was: null, toml: ""}, busy = null, timer = null, source = {kind: "blank", name: ""};
const undone = [], stash = new Map();
const side = () => lang() === "en" ? "en" : "zh";
const field = () => answer?.fields.find(one => one.name === chosen);

function say(words) {
  $("say").textContent = words;
  $("say").classList.add("on");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => $("say").classList.remove("on"), 3500);
}

// What waits for its turn: a function that gives the edit to make, null for none, undefined where there is nothing to try.
let pending = null;
let running = Promise.resolve();

// Tries the pack as it stands, or with an edit of the chosen field. `redraw` draws the form anew from what comes back.
// A later try takes the place of one that is on its way: the form gives all that it holds each time.
function attempt(edit, redraw) {
  clearTimeout(timer);
  busy?.abort();
  return running = tryNow(edit, redraw, busy = new AbortController());
}

async function tryNow(edit, redraw, mine) {
  document.body.setAttribute("aria-busy", "true");
  try {
    const given = await post("/schema/try", {toml, field: edit?.name ?? chosen, ...(edit?.rename === undefined ? {edit} : edit)}, {signal: mine.signal});
    if (mine === busy) take(given, edit, redraw);
  } catch (error) {
    if (error.name !== "AbortError") say(t("failed", error.message));
  } finally {
    if (mine === busy) {
      busy = null;
      if (pending === null) document.body.removeAttribute("aria-busy");
    }
  }
}

function take(given, edit, redraw) {
  answer = given;
  $("refused").hidden = !given.refused;
  if (given.refused) $("refused").textContent = given.refused[side()];
  else if (edit?.name) chosen = edit.name;
  if (given.toml !== toml) { remember(toml); toml = given.toml; }
  if (document.activeElement !== $("toml")) $("toml").value = toml;
  if (document.activeElement !== $("pack-name")) $("pack-name").value = given.pack;
  if (!given.fields.some(one => one.name === chosen)) { chosen = given.fields[0]?.name ?? null; redraw = true; if (chosen !== null && given.found === null) later(() => null, true, 0); }
  keep();
  draw(redraw);
  if (!given.ready && pending === null) timer = setTimeout(() => attempt(null, false), READ_AGAIN_MS);
}

function later(edit, redraw, wait = WAIT_MS) {
  clearTimeout(timer);
  document.body.setAttribute("aria-busy", "true");
  pending = edit;
  timer = setTimeout(() => settle(redraw), wait);
}

// Makes what waits now, so that nothing that was typed is lost to what is done next.
async function settle(redraw = false) {
  if (pending !== null) {
    clearTimeout(timer);
    const edit = pending();
    pending = null;
    if (edit !== undefined) attempt(edit, redraw);
    else if (!busy) document.body.removeAttribute("aria-busy");
  }
  await running;
}

function remember(text) {
  if (undone.at(-1) !== text) undone.push(text);
  if (undone.length > MOST_UNDO) undone.shift();
}

const keep = () => sessionStorage.setItem(DRAFT, JSON.stringify({toml, saved, source, chosen}));

// ---------------------------------------------------------------- drawing

function draw(redraw) {
  const one = field();
  const list = $("items"), scrolled = list.scrollTop;
  list.replaceChildren(...answer.fields.map(item));
  list.scrollTop = scrolled;
  const here = list.querySelector("[aria-current]"), box = here?.getBoundingClientRect(), frame = list.getBoundingClientRect();
  if (here && (box.top < frame.top || box.bottom > frame.bottom)) list.scrollTop += box.top - frame.top - box.height;
  $("none").hidden = answer.fields.length > 0;
  findings($("pack-findings"), answer.findings.filter(f => f.field === null && f.code !== "no_fields"));
  findings($("toml-findings"), answer.findings);
  if (redraw || !form) {
    form = null;
    if (one) form = drawForm($("form"), one, answer.fields, {shared: answer.topics, own: answer.own_topics}, changeKind);
    else $("form").replaceChildren(el("p", {class: "begin"}, t("begin")), el("button", {type: "button", class: "main", onclick: add}, `＋ ${t("add")}`));
  }
  if (one) showFindings($("form"), answer.findings.filter(f => f.field === one.name), side());
  drawFound(one);
  $("told").textContent = answer.fault ? t("failed", answer.fault) : !answer.ready ? t("reading") : t("told", answer.records.toLocaleString()) + (answer.beside.length ? ` · ${t("with", answer.beside.join("、"))}` : "");
  $("now").textContent = `${answer.pack}${saved.name ? ` · ${saved.name}.toml` : ""}${toml === saved.toml ? "" : ` · ${t("unsaved")}`}`;
  $("undo").disabled = !undone.length;
  $("delete").disabled = !one;
  $("save").disabled = !facts.saves;
  $("save").title = facts.saves ? "" : t("no-folder");
}

// While a field has a fault, what it found before stays, faded.
let lastFound = null;

function drawFound(one) {
  const fresh = one && answer.found?.name === one.name;
  if (fresh) lastFound = {...answer.found};
  else if (one && lastFound) lastFound = lastFound.of === one.name || lastFound.name === one.name ? {...lastFound, of: one.name} : null;
  const parts = one && lastFound ? foundPart(one.label, lastFound, facts.reviewed, side()) : [];
  $("found").replaceChildren(...(fresh || !one ? [] : [el("p", {class: "hint"}, t(answer.ready ? "faulty" : "reading"))]), ...parts);
  $("found").classList.toggle("stale", !fresh);
}

function item(one) {
  const own = answer.findings.filter(f => f.field === one.name), faults = own.filter(f => f.level === "fault").length, warnings = own.filter(f => f.level === "warning").length;
  const told = one.stated === null ? "–" : `${one.stated}/${answer.records}`;
  return el("li", {}, el("button", {type: "button", class: "rec-link", "aria-current": one.name === chosen ? "true" : null, onclick: () => choose(one.name)},
    el("span", {class: "id"}, one.label),
    faults ? el("span", {class: "bad"}, `✗ ${faults}`, el("span", {class: "sr"}, t("fault"))) : warnings ? el("span", {class: "flag"}, `⚑ ${warnings}`, el("span", {class: "sr"}, t("warning"))) : null,
    el("span", {class: "meta"}, `${one.spec.type in {yes_no: 1, enum: 1, several: 1, number: 1, frequency: 1} ? t(`t-${one.spec.type}`) : "?"} · ${told}`)));
}

function findings(list, shown) {
  list.replaceChildren(...shown.map(one => el("li", {class: `note ${one.level === "fault" ? "bad" : one.level === "warning" ? "flag" : ""}`},
    el("b", {}, t(one.level === "note" ? "note-level" : one.level)), ` ${one.line ? `${t("line", one.line)} ` : ""}`, one.place ? el("code", {}, one.place) : null, ` ${one[side()]}`)));
}

// ---------------------------------------------------------------- what a person does

async function choose(name) {
  if (name === chosen) return;
  await settle();
  chosen = name;
  lastFound = null;
  $("found").replaceChildren(el("p", {class: "hint"}, t("trying")));
  await attempt(null, true);
}

function fromForm() {
  const one = field();
  if (!one || !form) return undefined;
  const given = form.read();
  if (given.name) return {was: one.name, ...given};
  say(t("name-needed"));
  return undefined;
}

function fromText() {
  remember(toml);
  toml = $("toml").value;
  return null;
}

function changeKind(kind) {
  const one = field(), {name, spec} = form.read();
  pending = null;
  stash.set(`${one.name}\n${spec.type}`, spec);
  const next = {...stash.get(`${one.name}\n${kind}`), ...fits(spec, kind), type: kind};
  if (kind in {enum: 1, several: 1} && !next.values) next.values = {[t("new-value")]: spec.terms?.length ? {terms: spec.terms} : {}};
  if (kind in {yes_no: 1, number: 1} && !next.terms) next.terms = Object.values(spec.values || {}).flatMap(how => how.terms || []);
  attempt({was: one.name, name: name || one.name, spec: next}, true);
}

async function add() {
  await settle();
  const taken = new Set(answer.fields.map(one => one.name));
  let name = t("new-name");
  for (let n = 2; taken.has(name); n++) name = `${t("new-name")}${n}`;
  show("form");
  await attempt({was: null, name, spec: {type: "yes_no", terms: []}}, true);
  form?.name.focus();
  form?.name.select();
}

async function drop() {
  await settle();
  const one = field();
  if (one) await attempt({was: one.name, name: null, spec: null}, true);
}

function step(by) {
  const at = answer.fields.findIndex(one => one.name === chosen), next = answer.fields[at + by];
  if (next) choose(next.name);
}

async function show(what) {
  await settle(true);
  const text = what === "toml";
  $("form").hidden = text;
  $("text-view").hidden = !text;
  $("tab-form").setAttribute("aria-pressed", String(!text));
  $("tab-toml").setAttribute("aria-pressed", String(text));
  if (text) $("toml").value = toml;
}

async function open(kind, name) {
  const given = await ask(`/schema/packs/${kind}?${new URLSearchParams({name})}`);
  toml = given.toml;
  source = {kind, name};
  saved = {name: kind === "saved" ? name : "", was: given.was, toml};
  undone.length = 0;
  chosen = null;
  form = null;
  await attempt(null, true);
  fillPacks();
}

function fillPacks() {
  const group = (label, kind, names) => names.length ? el("optgroup", {label}, names.map(name => el("option", {value: `${kind}:${name}`}, name))) : "";
  $("pack").replaceChildren(el("option", {value: "blank:"}, t("blank")), el("option", {value: "starter:"}, t("starter")), group(t("saved"), "saved", facts.saved), group(t("shipped"), "shipped", facts.shipped));
  $("pack").value = `${source.kind}:${source.kind in {saved: 1, shipped: 1} ? source.name : ""}`;
}

async function pick() {
  await settle();
  const [kind, ...rest] = $("pack").value.split(":");
  if (toml !== saved.toml && undone.length && !confirm(t("lose"))) return fillPacks();
  try {
    await open(kind, rest.join(":"));
  } catch (error) {
    say(t("failed", error.message));
    fillPacks();
  }
}

async function download() {
  await settle();
  const name = (saved.name || answer.pack || "pack").replace(/[^\p{L}\p{N}_-]+/gu, "_");
  const link = el("a", {href: URL.createObjectURL(new Blob([toml], {type: "application/toml"})), download: `${name}.toml`});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function askName() {
  await settle();
  if (!facts.saves) return say(t("no-folder"));
  if (answer.faults) return say(t("faults-first", answer.faults));
  $("file").value = saved.name || (answer.pack || "").replace(/[^\p{L}\p{N}_-]+/gu, "_");
  $("saving-where").textContent = t("where", facts.folder);
  $("saving-fault").hidden = true;
  $("saving").showModal();
  $("file").select();
}

async function save(event) {
  event.preventDefault();
  const name = $("file").value.trim();
  try {
    const given = await post(`/schema/packs/saved?${new URLSearchParams({name})}`, {toml, was: name === saved.name ? saved.was : null});
    saved = {name, was: given.was, toml};
    facts.saved = given.saved;
    source = {kind: "saved", name};
    keep();
    fillPacks();
    draw(false);
    $("saving").close();
    say(t("was-saved", `${name}.toml`));
  } catch (error) {
    $("saving-fault").textContent = error.message;
    $("saving-fault").hidden = false;
  }
}

async function undo() {
  await settle();
  if (!undone.length) return;
  toml = undone.pop();
  await attempt(null, true);
}

const KEYS = {n: add, t: () => show($("text-view").hidden ? "toml" : "form"), j: () => step(1), k: () => step(-1), "?": () => $("help").showModal()};
const HELP = [[["j", "k"], "k-field"], [["n"], "k-new"], [["t"], "k-toml"], [["Ctrl S"], "k-save"], [["?"], "k-help"], [["Esc"], "k-esc"]];

function onKey(event) {
  if (document.querySelector("dialog[open]") || event.isComposing) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "s") {
    event.preventDefault();
    return askName();
  }
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.matches("input:not([type=checkbox]),select,textarea")) {
    if (event.key === "Escape") { event.target.blur(); $("main").focus({preventScroll: true}); }
    return;
  }
  if (!$("keys-on").checked || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
}

function words() {
  speak();
  $("lang").textContent = lang() === "en" ? "中文" : "English";
  $("lang").lang = lang() === "en" ? "zh-CN" : "en";
  $("keys").replaceChildren(...HELP.map(([keys, word]) => el("div", {}, el("dt", {}, keys.map(one => el("kbd", {}, one))), el("dd", {}, t(word)))));
  fillPacks();
}

function goTo(event) {
  const to = event.target.closest("a[href^='#']");
  if (!to) return;
  event.preventDefault();
  document.querySelector(to.getAttribute("href")).scrollIntoView({block: "start"});
}

function listen() {
  $("found").addEventListener("click", goTo);
  document.addEventListener("keydown", onKey);
  $("form").addEventListener("input", () => later(fromForm, false));
  $("form").addEventListener("submit", event => event.preventDefault());
  $("toml").addEventListener("input", () => later(fromText, true));
  $("pack").addEventListener("change", pick);
  $("pack-name").addEventListener("input", () => later(() => $("pack-name").value.trim() ? {rename: $("pack-name").value.trim()} : undefined, false));
  $("add").addEventListener("click", add);
  $("delete").addEventListener("click", drop);
  $("undo").addEventListener("click", undo);
  $("download").addEventListener("click", download);
  $("save").addEventListener("click", askName);
  $("saving-form").addEventListener("submit", save);
  $("saving-no").addEventListener("click", () => $("saving").close());
  $("tab-form").addEventListener("click", () => show("form"));
  $("tab-toml").addEventListener("click", () => show("toml"));
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("help-no").addEventListener("click", () => $("help").close());
  $("keys-on").checked = localStorage.getItem("tcmstruct.keys") !== "off";
  $("keys-on").addEventListener("input", () => localStorage.setItem("tcmstruct.keys", $("keys-on").checked ? "on" : "off"));
  $("lang").addEventListener("click", async () => { await settle(); switchLang(); words(); draw(true); });
  addEventListener("beforeunload", event => { if (undone.length && toml !== saved.toml) event.preventDefault(); });
}

facts = await ask("/schema/facts");
$("to-review").hidden = !facts.reviewed;
const draft = JSON.parse(sessionStorage.getItem(DRAFT) || "null");
if (draft) {
  ({toml, saved, source, chosen} = draft);
  words();
  await attempt(null, true);
} else {
  words();
  await open(facts.saved.length ? "saved" : "blank", facts.saved[0] || "");
}
listen();
document.documentElement.dataset.ready = "yes";
