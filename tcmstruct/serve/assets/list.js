// The list: filters, pages that the server makes, and the order in which records follow one another.
import {$, el, options} from "./dom.js";
import {t} from "./words.js";
import * as api from "./api.js";

const STATES = ["all", "flagged", "open", "touched", "done", "warned", "conflict"];
const KEPT = ["q", "state", "dept", "field", "value", "status"];
const MARK = ["○", "◐", "✔"], MARK_WORD = ["s-open", "s-touched", "s-done"];
export const page = {first: 0, total: 0, records: []};
let asked = 0;

export function query() {
  const given = Object.fromEntries(KEPT.map(id => [id, $(id).value]).filter(([, value]) => value));
  return {...given, order: $("low").checked ? "low" : "file"};
}

export async function load({cursor = null, back = false, open = null} = {}) {
  const number = ++asked;
  sessionStorage.setItem("tcmstruct.query", JSON.stringify(query()));
  const found = await api.records({...query(), ...(cursor === null ? {} : {cursor, back})});
  if (number !== asked) return;
  Object.assign(page, found);
  draw(open);
}

export function draw(current) {
  const {first, total, records} = page;
  $("items").replaceChildren(...records.map(one => el("li", {}, el("button", {type: "button", class: "rec-link", "data-row": one.row, "aria-current": one.row === current ? "true" : null},
    el("span", {class: "id"}, el("span", {class: `mark m${one.state}`, title: t(MARK_WORD[one.state])}, MARK[one.state], el("span", {class: "sr"}, t(MARK_WORD[one.state]))), ` ${one.id}`),
    one.open ? el("span", {class: "flag", title: t("flag")}, `⚑ ${one.open}`, el("span", {class: "sr"}, t("flag"))) : null,
    el("span", {class: "meta"}, `${one.dept || "–"} · ${one.values} ${t("values")} · ${t("lowest")} ${one.lowest.toFixed(2)}`)))));
  $("none").hidden = total > 0;
  $("place").textContent = total ? `${(first + 1).toLocaleString()}–${(first + records.length).toLocaleString()} / ${total.toLocaleString()}` : "0";
  $("page-back").disabled = first === 0;
  $("page-on").disabled = first + records.length >= total;
}

export function mark(row) {
  for (const one of document.querySelectorAll(".rec-link")) {
    const here = Number(one.dataset.row) === row;
    if (here) {
      one.setAttribute("aria-current", "true");
      const box = one.getBoundingClientRect(), frame = $("items").getBoundingClientRect();
      if (box.top < frame.top || box.bottom > frame.bottom) one.scrollIntoView({block: "nearest"});
    } else one.removeAttribute("aria-current");
  }
}

// The record after (before) `row` in the list's order, or null; turns the page where it has to.
export async function neighbour(row, by) {
  const at = page.records.findIndex(one => one.row === row);
  const next = page.records[at + by];
  if (at >= 0 && next) return next.row;
  const found = await api.records({...query(), cursor: row, back: by < 0});
  if (!found.records.length) return null;
  Object.assign(page, found);
  draw(row);
  return (by < 0 ? found.records.at(-1) : found.records[0]).row;
}

// The next record that has undecided low values, whatever the filter of states says.
export async function neighbourLow(row, by) {
  const found = await api.records({...query(), state: "flagged", cursor: row, back: by < 0, limit: 1});
  return found.records.length ? found.records[0].row : null;
}

export function fillFilters(facts, counts) {
  const all = [["", t("all")]];
  options($("state"), STATES.map(one => [one, t(`s-${one}`)]));
  options($("dept"), [...all, ...counts.depts.filter(([name]) => name).map(([name, n]) => [name, `${name} (${n.toLocaleString()})`])]);
  options($("field"), [...all, ...counts.fields.map(([name, n]) => [name, `${name} (${n.toLocaleString()})`])]);
  options($("status"), [...all, ...facts.statuses.map(one => [one, one])]);
  fillValues(facts);
  $("q").placeholder = t("search-in");
}

export function fillValues(facts) {
  const spec = facts.fields.find(one => one.name === $("field").value);
  const values = spec ? spec.values : [];
  $("value").disabled = !values.length;
  options($("value"), [["", t("all")], ...values.map(one => [one, one])]);
}

export function restore(facts, counts) {
  const held = JSON.parse(sessionStorage.getItem("tcmstruct.query") || "{}");
  fillFilters(facts, counts);
  for (const id of KEPT) {
    if (held[id] === undefined) continue;
    $(id).value = held[id];
    if (id === "field") fillValues(facts);
  }
  for (const id of ["state", "dept", "field", "status"]) if ($(id).selectedIndex < 0) $(id).selectedIndex = 0;
  $("low").checked = held.order === "low";
}
