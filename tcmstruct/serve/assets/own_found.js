// What a field finds in the records: coverage, values, hits with their words marked, near misses with their reason.
import {el} from "./dom.js";
import {t} from "./words.js";

const piecesOf = given => given.map(one => Array.isArray(one) ? el("span", {class: "inv", role: "img", "data-u": one[0], "aria-label": one[0], title: one[0]}) : one);
const quote = (one, css) => el("q", {}, piecesOf(one.before), el("mark", {class: css}, piecesOf(one.words)), piecesOf(one.behind));
const link = (one, reviewed) => reviewed ? el("a", {href: `/#r${one.row}`, title: t("row-link", one.id)}, one.id) : el("span", {}, one.id);
const share = (n, of) => of ? `${Math.round(100 * n / of)}%` : "–";

export function foundPart(label, one, reviewed, side) {
  const {records, stated, denied, missing, near_misses: near} = one;
  const bar = el("progress", {max: Math.max(1, records), value: stated, "aria-label": `${label}: ${stated}/${records}`});
  const counts = el("p", {class: "counts"}, el("b", {}, `${stated}/${records}`), ` ${share(stated, records)} ${t("stated")}`,
    denied ? ` · ${t("denied")} ${denied}` : "", ` · ${t("missing")} ${missing} · `, near ? el("a", {href: "#near"}, `${t("near")} ${near}`) : `${t("near")} 0`);
  const values = one.figures ? el("p", {class: "values-told"}, t("figures", ...[0, 2, 1].map(n => Number(one.figures[n].toFixed(2)))), one.unit ? ` ${one.unit}` : "")
    : el("ul", {class: "chips"}, one.values.slice(0, 24).map(([value, n]) => el("li", {}, el("b", {}, value), ` ${n}`)));
  return [el("h2", {}, label), bar, counts, values,
    listPart("hits", one.hits, stated, hit => [el("span", {class: "val"}, hit.value.join("、"), one.unit ? el("span", {class: "unit"}, one.unit) : null), quote(hit, "hit"), link(hit, reviewed)], "no-hits"),
    listPart("near", one.near, near, miss => [el("span", {class: "why"}, miss[side]), quote(miss, "near"), link(miss, reviewed)], "no-near")];
}

function listPart(what, items, total, inner, none) {
  return el("section", {class: what, id: what}, el("h3", {}, t(what), items.length < total ? el("small", {}, ` ${t("some-of", total, items.length)}`) : null),
    items.length ? el("ol", {}, items.map(one => el("li", {}, inner(one)))) : el("p", {class: "hint"}, t(none)));
}
