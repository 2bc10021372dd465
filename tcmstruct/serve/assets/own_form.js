// The form of one field: from what the pack says to inputs, and back. Keys that the form does not show stay as they are.
import {el} from "./dom.js";
import {t} from "./words.js";

// Which keys go with which kind of field.
const KEYS = {
  yes_no: ["terms", "topics", "said", "absent", "except", "only_if"],
  enum: ["topics", "values", "except", "keep", "only_if"],
  several: ["topics", "values", "except", "keep", "only_if"],
  number: ["terms", "unit", "units", "unit_required", "range", "after", "except", "keep", "only_if"],
  frequency: ["topics", "keep", "only_if"],
};
const KEEPS = {number: ["last", "first", "max"], enum: ["last", "first", "most"], several: ["last", "first"], frequency: ["last", "first"]};
const ONLY = {terms: ["yes_no", "number"], said: ["yes_no"], absent: ["yes_no"], values: ["enum", "several"], unit: ["number"], units: ["number"], unit_required: ["number"],
  range: ["number"], below: ["number"], after: ["number"], merge: ["several"], agree: ["enum"], finding: ["enum"], keep: ["number", "enum", "several", "frequency"]};

const lines = text => text.split("\n").map(one => one.trim()).filter(Boolean);
const textOf = value => Array.isArray(value) ? value.join("\n") : "";
const isTable = value => typeof value === "object" && value !== null && !Array.isArray(value);
let number = 0;

// A labelled control; `key` is the key of the pack that it writes.
function row(key, label, control, hint) {
  control.id ||= `f${++number}`;
  const note = hint ? el("small", {class: "hint", id: `${control.id}-hint`}, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return el("div", {class: "row", "data-key": key}, el("label", {for: control.id}, label), control, note);
}

const area = (value, name) => el("textarea", {rows: Math.min(8, Math.max(2, value.split("\n").length)), spellcheck: "false", value, ...(name ? {"aria-label": name} : {})});
const figure = (value, label) => el("input", {type: "number", step: "any", value: typeof value === "number" ? value : "", ...(label ? {"aria-label": label} : {})});

export const fits = (spec, kind) => Object.fromEntries(Object.entries(spec).filter(([key]) => !ONLY[key] || ONLY[key].includes(kind)));

// Draws the form of a field and returns {read, name}; `read()` gives {name, spec, topics}.
export function drawForm(form, field, fields, topics, changeKind) {
  const shared = topics.shared, own = topics.own, topicWords = el("div", {class: "topic-words"});
  const spec = field.spec, kind = KEYS[spec.type] ? spec.type : "yes_no", shown = KEYS[kind], controls = {};
  const name = el("input", {maxlength: 40, value: field.name, required: true});
  const type = el("select", {}, Object.keys(KEYS).map(one => el("option", {value: one}, t(`t-${one}`))));
  type.value = kind;
  type.addEventListener("change", event => { event.stopPropagation(); changeKind(type.value); });
  type.addEventListener("input", event => event.stopPropagation());
  const rows = [el("div", {class: "pairs"}, row("name", t("name"), name), row("type", t("type"), type))];
  if (shown.includes("terms")) rows.push(row("terms", t(kind === "number" ? "terms-number" : "terms"), controls.terms = area(textOf(spec.terms)), t("terms-hint")));
  if (shown.includes("values")) rows.push(controls.values = valuesPart(spec));
  if (kind === "number") rows.push(...numberPart(spec, controls));
  const rest = [];
  if (shown.includes("topics")) {
    rest.push(row("topics", t("topics"), controls.topics = el("input", {value: textOf(spec.topics).replaceAll("\n", "、")}), t("topics-hint", shared.join("、"))), topicWords);
    controls.topics.addEventListener("input", event => event.stopPropagation());
    controls.topics.addEventListener("change", () => { drawTopics(); form.dispatchEvent(new Event("input")); });
  }
  if (shown.includes("said")) rest.push(row("said", t("said"), controls.said = area(textOf(spec.said)), t("a-line")));
  if (kind === "frequency") rows.push(...rest.splice(0));
  rest.push(row("except", t("except"), controls.except = area(textOf(spec.except)), t("a-line")));
  if (!shown.includes("except")) rest.pop(), delete controls.except;
  if (shown.includes("absent")) rest.push(row("absent", t("absent"), controls.absent = area(textOf(spec.absent)), t("negation-hint")));
  if (KEEPS[kind]) rest.push(keepPart(spec, kind, controls));
  rest.push(row("note", t("note"), controls.note = el("input", {value: typeof spec.note === "string" ? spec.note : ""})));
  const parent = parentPart(spec, field.name, fields);
  const open = kind === "enum" || kind === "several" || ["topics", "said", "except", "absent", "note"].some(key => spec[key]?.length);
  form.replaceChildren(...rows, parent.part, el("details", {class: "rest", open}, el("summary", {}, t("more")), rest));
  if (controls.topics) drawTopics();

  // A topic that the shared grammar does not have gets an input for its words; written as its own name at first.
  function drawTopics() {
    const held = readTopics();
    topicWords.replaceChildren(...named().filter(one => !shared.includes(one)).map(one => {
      const words = area(textOf(held[one]?.words || own[one]?.words || [one]));
      words.topic = one;
      return row(null, t("topic-words", one), words, t("a-line"));
    }));
  }
  function named() { return controls.topics ? controls.topics.value.split(/[、,，;；\s]+/).filter(Boolean) : []; }
  function readTopics() {
    return Object.fromEntries([...topicWords.querySelectorAll("textarea")].map(one => [one.topic, {...own[one.topic], words: lines(one.value)}]));
  }

  function read() {
    const out = {...spec, type: kind};
    const put = (key, value, keep = false) => { if (keep || (Array.isArray(value) ? value.length : value !== "" && value !== null && value !== undefined)) out[key] = value; else delete out[key]; };
    for (const key of ["terms", "said", "absent", "except"]) if (controls[key]) put(key, lines(controls[key].value), key === "terms");
    if (controls.topics) put("topics", named());
    if (controls.values) out.values = controls.values.read();
    if (kind === "number") readNumber(controls, put);
    if (controls.keep) put("keep", controls.keep.value === "last" && spec.keep === undefined ? "" : controls.keep.value);
    put("note", controls.note.value.trim());
    put("only_if", parent.read());
    return {name: name.value.trim(), spec: out, topics: readTopics()};
  }
  return {read, name};
}

function keepPart(spec, kind, controls) {
  controls.keep = el("select", {}, KEEPS[kind].map(one => el("option", {value: one}, t(`k-${one}`))));
  controls.keep.value = KEEPS[kind].includes(spec.keep) ? spec.keep : "last";
  return row("keep", t("keep"), controls.keep);
}

function numberPart(spec, controls) {
  const units = isTable(spec.units) ? Object.entries(spec.units).map(([unit, factor]) => factor === 1 ? unit : `${unit} = ${factor}`).join("\n") : textOf(spec.units);
  const range = Array.isArray(spec.range) ? spec.range : [];
  controls.unit = el("input", {value: typeof spec.unit === "string" ? spec.unit : "", maxlength: 20});
  controls.units = area(units);
  controls.required = el("input", {type: "checkbox", checked: spec.unit_required === true});
  controls.low = figure(range[0]);
  controls.high = figure(range[1]);
  controls.after = el("input", {type: "number", min: 0, max: 30, value: typeof spec.after === "number" ? spec.after : ""});
  return [
    el("div", {class: "pairs"}, row("unit", t("unit"), controls.unit), el("div", {class: "row", "data-key": "unit_required"}, el("label", {class: "check"}, controls.required, t("unit_required")))),
    row("units", t("units"), controls.units, t("units-hint")),
    el("div", {class: "pairs three", "data-key": "range"}, row(null, t("low"), controls.low), row(null, t("high"), controls.high), row("after", t("after"), controls.after)),
  ];
}

function readNumber(controls, put) {
  put("unit", controls.unit.value.trim());
  const units = lines(controls.units.value).map(one => one.split(/\s*[=＝]\s*/));
  const plain = units.every(([, factor]) => factor === undefined || Number(factor) === 1);
  put("units", plain ? units.map(([unit]) => unit) : Object.fromEntries(units.map(([unit, factor]) => [unit, factor === undefined ? 1 : Number(factor) || factor])));
  put("unit_required", controls.required.checked || null);
  const [low, high] = [controls.low.value, controls.high.value];
  put("range", low !== "" && high !== "" ? [Number(low), Number(high)] : null);
  put("after", controls.after.value === "" ? null : Number(controls.after.value));
}

function valuesPart(spec) {
  const list = el("ol", {class: "values-list"}), box = el("fieldset", {class: "values", "data-key": "values"}, el("legend", {}, t("values")), list);
  const add = (value, how, focus) => {
    const label = el("input", {value, maxlength: 40, "aria-label": t("value"), class: "value-name"});
    const terms = area(textOf(how.terms)), said = area(textOf(how.said));
    const rank = el("input", {type: "number", value: how.rank ?? "", step: 1, class: "rank"});
    const drop = el("button", {type: "button", class: "drop", "aria-label": t("drop-value", value), title: t("drop-value", value)}, "✗");
    const item = el("li", {"data-key": `values.${value}`}, el("div", {class: "value-head"}, label, row(null, t("rank"), rank), drop),
      el("div", {class: "pairs"}, row(`values.${value}.terms`, t("terms"), terms), row(`values.${value}.said`, t("said"), said)));
    item.read = () => {
      const out = {...how};
      for (const [key, control] of [["terms", terms], ["said", said]]) { const words = lines(control.value); if (words.length) out[key] = words; else delete out[key]; }
      if (rank.value === "" || Number(rank.value) === 0) delete out.rank; else out.rank = Number(rank.value);
      return [label.value.trim(), out];
    };
    drop.addEventListener("click", () => { item.remove(); box.dispatchEvent(new Event("input", {bubbles: true})); });
    list.append(item);
    if (focus) { label.focus(); label.select(); }
  };
  for (const [value, how] of Object.entries(isTable(spec.values) ? spec.values : {})) add(value, isTable(how) ? how : {}, false);
  const more = el("button", {type: "button", class: "add-value"}, `＋ ${t("add-value")}`);
  more.addEventListener("click", () => {
    const taken = new Set([...list.children].map(item => item.read()[0]));
    let value = t("new-value");
    for (let n = 2; taken.has(value); n++) value = `${t("new-value")}${n}`;
    add(value, {}, true);
    box.dispatchEvent(new Event("input", {bubbles: true}));
  });
  box.append(more);
  box.read = () => Object.fromEntries([...list.children].map(item => item.read()).filter(([value]) => value));
  return box;
}

// What the field hangs on: another field, with values of it or bounds.
function parentPart(spec, own, fields) {
  const rule = isTable(spec.only_if) ? spec.only_if : {};
  const choice = el("select", {}, el("option", {value: ""}, t("no-parent")), fields.filter(one => one.name !== own).map(one => el("option", {value: one.name}, one.label)));
  if (rule.field && !fields.some(one => one.name === rule.field)) choice.append(el("option", {value: rule.field}, rule.field));
  choice.value = rule.field || "";
  const inner = el("div", {class: "parent"}), part = el("div", {class: "only-if", "data-key": "only_if"}, row(null, t("only_if"), choice), inner);
  let low = null, high = null;
  const draw = () => {
    const parent = fields.find(one => one.name === choice.value), kind = parent?.spec.type, same = choice.value === rule.field;
    const held = same && Array.isArray(rule.is) ? rule.is : [];
    const values = kind === "yes_no" ? ["有", "无"] : isTable(parent?.spec.values) ? Object.keys(parent.spec.values) : held;
    const ticked = same && rule.is ? held : kind === "yes_no" ? ["有"] : [];
    [low, high] = kind === "number" || rule.at_least !== undefined || rule.at_most !== undefined ? [figure(same ? rule.at_least : ""), figure(same ? rule.at_most : "")] : [null, null];
    inner.replaceChildren(...(choice.value === "" ? [] : low ? [el("div", {class: "pairs"}, row(null, t("at_least"), low), row(null, t("at_most"), high))] : [
      el("fieldset", {}, el("legend", {}, t("is")), values.map(value => el("label", {class: "check"}, el("input", {type: "checkbox", value, checked: ticked.includes(value)}), value)))]));
  };
  choice.addEventListener("change", draw);
  draw();
  const read = () => {
    if (choice.value === "") return null;
    const is = [...inner.querySelectorAll("input:checked")].map(one => one.value), out = {field: choice.value};
    if (is.length) out.is = is;
    if (low && low.value !== "") out.at_least = Number(low.value);
    if (high && high.value !== "") out.at_most = Number(high.value);
    return out;
  };
  return {part, read};
}

// Puts each finding of the field beside the input that it is about.
export function showFindings(form, findings, side) {
  for (const one of form.querySelectorAll(".finding")) one.remove();
  for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
  for (const one of findings) {
    const parts = one.key.split(".");
    let place = null;
    for (let n = parts.length; n > 0 && !place; n--) place = [...form.querySelectorAll("[data-key]")].find(node => node.dataset.key === parts.slice(0, n).join("."));
    const note = el("p", {class: `note finding ${one.level === "fault" ? "bad" : one.level === "warning" ? "flag" : ""}`}, one[side]);
    if (place) {
      place.append(note);
      place.closest("details")?.setAttribute("open", "");
      if (one.level === "fault") place.querySelector("input,textarea,select")?.setAttribute("aria-invalid", "true");
    } else form.prepend(note);
  }
}
