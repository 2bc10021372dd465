// The window in which a value or mention is edited or added.
import {$, el, options} from "./dom.js";
import {t} from "./words.js";
import {placeOfWords, pointsOf, selected} from "./text.js";

let send = null;

// Opens the window. `save(decision)` is called with the parts that the server wants; it may throw.
export function openEditor({facts, record, target, name, adding}, save) {
  const points = pointsOf(record), chosen = selected();
  const was = adding ? null : (target === "field" ? record.groups.flatMap(group => group.rows) : record.mentions).find(one => one.name === name);
  const body = $("editor-body");
  const place = {start: was ? was.start : null, end: was ? was.end : null, ...chosen};
  const words = el("input", {id: "ed-words", autocomplete: "off", spellcheck: "false", "aria-describedby": "ed-words-hint",
    value: place.start === null || place.end > points.length ? "" : points.slice(place.start, place.end).join("")});
  const typed = {...place, words: words.value};
  const evidence = () => {
    if (words.value === typed.words) return typed.start === null ? null : {start: typed.start, end: typed.end};
    return placeOfWords(points, words.value, typed.start ?? 0);
  };
  let read;
  const inner = el("div", {class: "ed"});
  if (adding) {
    const what = el("select", {id: "ed-what"}, el("option", {value: ""}, t("a-mention")),
      record.missing.map(({pack, names}) => el("optgroup", {label: pack}, names.map(one => el("option", {value: one}, one)))));
    const draw = () => { read = what.value ? fieldInput(inner, specOf(facts, what.value), null) : mentionInput(inner, facts, null); };
    what.addEventListener("change", draw);
    body.replaceChildren(el("label", {for: "ed-what"}, t("what")), what, inner, ...wordsInput(words));
    draw();
    send = async () => save({target: what.value ? "field" : "mention", name: what.value, action: "add", ...needed(evidence()), ...read()});
  } else {
    read = target === "field" ? fieldInput(inner, specOf(facts, name), was) : mentionInput(inner, facts, was);
    body.replaceChildren(inner, ...wordsInput(words));
    send = async () => {
      const found = words.value === "" && was.start === was.end ? {} : needed(evidence());
      await save({target, name, action: "edit", ...found, ...read()});
    };
  }
  $("editor-title").textContent = adding ? t("add") : `${t("edit")} · ${target === "field" ? was.label : was.text}`;
  $("editor-fault").hidden = true;
  $("editor").showModal();
  (body.querySelector("input:checked") || body.querySelector("input,select")).focus();
}

class Fault extends Error {}

function needed(found) {
  if (found === null) throw new Fault(t($("ed-words").value ? "not-there" : "needs-words"));
  return found;
}

const wordsInput = input => [el("label", {for: "ed-words"}, t("words")), input, el("small", {id: "ed-words-hint", class: "hint"}, t("words-hint"))];
const specOf = (facts, name) => facts.fields.find(one => one.name === name) || {name, type: "text", values: [], unit: null, range: null};

function fieldInput(inner, spec, was) {
  const now = was ? was.value : null;
  if (spec.type === "yes_no" || spec.type === "enum" || spec.type === "several") {
    const kind = spec.type === "several" ? "checkbox" : "radio", held = Array.isArray(now) ? now : [String(now)];
    const boxes = spec.values.map((value, i) => el("label", {class: "check"}, el("input", {type: kind, name: "ed-value", value, checked: held.includes(value)}),
      el("span", {}, value), i < 9 ? el("kbd", {}, i + 1) : null));
    inner.replaceChildren(el("fieldset", {}, el("legend", {}, spec.name), boxes), el("small", {class: "hint"}, kind === "checkbox" ? `${t("several")} · ${t("number-keys")}` : t("number-keys")));
    return () => {
      const values = [...inner.querySelectorAll("input:checked")].map(one => one.value);
      return {value: kind === "checkbox" ? values : values[0] ?? null};
    };
  }
  const number = spec.type === "number";
  const input = el("input", {id: "ed-value", type: number ? "number" : "text", step: number ? "any" : null, min: spec.range?.[0], max: spec.range?.[1], maxlength: 200, autocomplete: "off",
    value: now === null ? "" : Array.isArray(now) ? now.join("；") : String(now)});
  inner.replaceChildren(el("label", {for: "ed-value"}, spec.name, spec.unit ? ` (${spec.unit})` : ""), input,
    spec.type === "frequency" ? el("small", {class: "hint"}, t("frequency-hint")) : "");
  return () => ({value: number || typeof now === "number" ? (input.value === "" ? null : Number(input.value))
    : Array.isArray(now) ? input.value.split(/[；;]/).filter(Boolean) : input.value});
}

function mentionInput(inner, facts, was) {
  const type = el("select", {id: "ed-type"}), status = el("select", {id: "ed-status"});
  options(type, facts.types.map(one => [one, one]), was ? was.type : facts.types[0]);
  options(status, facts.statuses.map(one => [one, one]), (was && was.status) || facts.statuses[0]);
  const fit = () => { status.disabled = !facts.with_status.includes(type.value); };
  type.addEventListener("change", fit);
  fit();
  inner.replaceChildren(el("label", {for: "ed-type"}, t("type")), type, el("label", {for: "ed-status"}, t("status")), status);
  return () => ({type: type.value, ...(status.disabled ? {} : {status: status.value})});
}

export function prepareEditor() {
  $("editor-no").addEventListener("click", () => $("editor").close());
  $("editor-form").addEventListener("submit", async event => {
    event.preventDefault();
    try {
      await send();
      $("editor").close();
    } catch (error) {
      $("editor-fault").textContent = error.message;
      $("editor-fault").hidden = false;
    }
  });
  $("editor").addEventListener("keydown", event => {
    const number = Number(event.key), boxes = document.querySelectorAll('#editor input[name="ed-value"]');
    const typing = event.target.matches('input:not([type="radio"],[type="checkbox"]),select');
    if (typing || !Number.isInteger(number) || number < 1 || number > boxes.length || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    boxes[number - 1].focus();
    boxes[number - 1].click();
  });
}
