// The table of fields by department, and the list of mentions; each row can be chosen and carries its decision.
import {el} from "./dom.js";
import {t} from "./words.js";

const ICONS = {accept: "✓", reject: "✗", edit: "✎", add: "＋"};

export function decisionOf(one) {
  if (!one.decision) return el("span", {class: "dec open"}, "– ", el("span", {class: "sr"}, t("d-open")));
  const {action, who, at} = one.decision;
  return el("span", {class: `dec ${action}`, title: `${who} · ${at}`}, `${ICONS[action]} ${t(`d-${action}`)}`);
}

export function fieldsTable(record, choose) {
  const head = ["field", "value", "evidence", "confidence", "decision"];
  const table = el("table", {class: "fields"}, el("caption", {class: "sr"}, t("fields")),
    el("thead", {}, el("tr", {}, head.map(key => el("th", {scope: "col"}, t(key))))));
  for (const {pack, rows} of record.groups) {
    table.append(el("tbody", {}, el("tr", {class: "g"}, el("th", {colspan: 5, scope: "rowgroup"}, pack || t("other"))), rows.map(row => line(row, choose))));
  }
  return table;
}

function line(row, choose) {
  const gone = row.now === null, open = row.flagged && !row.decision;
  const shown = row.values.map(one => el("span", {class: `val${one === "有" ? " yes" : one === "无" ? " no" : ""}`}, one));
  const was = row.decision && row.decision.action === "edit" && row.was.length && row.was.join("、") !== row.values.join("、");
  const sure = row.confidence === null ? "–" : row.confidence.toFixed(2);
  const bar = el("td", {class: `c${row.flagged ? " low" : ""}`}, row.confidence === null ? sure : el("span", {}, sure));
  bar.style.setProperty("--b", `${Math.round(100 * (row.confidence || 0))}%`);
  return el("tr", {class: `item${open ? " rv" : ""}${gone ? " gone-value" : ""}`, "data-target": "field", "data-name": row.name, onclick: () => choose("field", row.name)},
    el("th", {scope: "row"}, el("button", {type: "button", class: "pick"}, row.label),
      row.flagged ? el("span", {class: "flag", title: t("flag")}, " ⚑", el("span", {class: "sr"}, t("flag"))) : null),
    el("td", {class: "v"}, gone ? el("s", {}, shown) : shown, row.unit ? el("span", {class: "unit"}, row.unit) : null,
      was ? el("small", {class: "was"}, `${t("was")} ${row.was.join("、")}`) : null,
      row.source ? el("span", {class: "src"}, row.source[document.documentElement.lang === "en" ? 1 : 0]) : null,
      row.conflict ? el("span", {class: "bad"}, t("conflict")) : null),
    el("td", {class: "e"}, el("q", {}, row.evidence || "–")), bar, el("td", {}, decisionOf(row)));
}

export function mentionsList(record, choose) {
  const items = record.mentions.map(one => el("li", {class: `item${one.now === null ? " gone-value" : ""}`, "data-target": "mention", "data-name": one.name, onclick: () => choose("mention", one.name)},
    el("button", {type: "button", class: "pick"}, el("mark", {class: `m ${one.css} l0 a z`}, one.text),
      ` ${[one.type, one.status, one.confidence === null ? null : one.confidence.toFixed(2)].filter(Boolean).join(" · ")}`), " ", decisionOf(one)));
  return el("details", {class: "mentions"}, el("summary", {}, `${t("mentions")} (${items.length})`), el("ol", {}, items));
}
