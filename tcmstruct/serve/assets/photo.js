// The photograph beside the text: outline of the tongue, and where the model looked for the chosen mention.
import {el} from "./dom.js";
import {t} from "./words.js";

const GRID = 7, STRONGEST = 0.72, SVG = "http://www.w3.org/2000/svg";

function svg(tag, given, ...inner) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
  made.append(...inner);
  return made;
}

export function photoPanel(record, photo) {
  const answers = el("dl", {class: "answers"}, record.tongue.map(([name, value]) => el("div", {class: name.length + value.length > 14 ? "wide" : ""}, el("dt", {}, name), el("dd", {}, value))));
  const notes = record.conflicts.map(one => el("p", {class: "note bad"}, `${t("conflict")} ${one}`));
  const pane = el("section", {class: "pane photo", "aria-label": t("photo"), tabindex: "0"});
  if (photo.refused) {
    pane.append(el("p", {class: "gone"}, `${t("gone")} · ${photo.refused}`), el("div", {class: "said"}, notes, answers));
    return pane;
  }
  const cells = svg("g", {class: "cells", transform: photo.matrix});
  const edges = photo.points ? [svg("polygon", {class: "edge under", points: photo.points}), svg("polygon", {class: "edge", points: photo.points})] : [];
  const looked = el("figcaption", {class: "looked", "aria-live": "polite"});
  const figure = el("figure", {}, el("div", {class: "stage"}, el("img", {src: photo.src, width: photo.width, height: photo.height, alt: t("photo")}),
    svg("svg", {viewBox: `0 0 ${photo.width} ${photo.height}`, "aria-hidden": "true"}, cells, ...edges)), looked);
  const switches = el("div", {class: "switches"});
  if (photo.points) switches.append(toggle(pane, "outline"));
  const ask = el("select", {"aria-label": t("ask")}, el("option", {value: ""}, t("ask")));
  const named = new Map(record.mentions.map(one => [one.name, one]));
  const known = Object.keys(photo.looks).filter(name => named.has(name));
  if (known.length) {
    for (const name of known) ask.append(el("option", {value: name}, `${named.get(name).text.slice(0, 24)} · ${named.get(name).type}`));
    switches.append(toggle(pane, "map"), ask);
  }
  pane.look = name => {
    const look = photo.looks[name];
    ask.value = look ? name : "";
    cells.replaceChildren(...(look ? look.w : []).map((step, i) => svg("rect", {x: i % GRID, y: Math.floor(i / GRID), width: 1, height: 1, "fill-opacity": (STRONGEST * step / 99).toFixed(3)})));
    const gate = look && look.gate !== null ? ` · ${t("gate")} ${look.gate.toFixed(2)}` : "";
    looked.replaceChildren(...(look ? [el("b", {}, `${t("attention")}${gate}`), el("small", {}, t("not-diagnosis"))] : known.length ? [el("small", {}, t("looked"))] : []));
  };
  ask.addEventListener("input", () => pane.look(ask.value));
  pane.append(figure, el("div", {class: "said"}, switches, notes, answers,
    el("dl", {class: "measures"}, photo.measures.map(([zh, en, value]) => el("div", {}, el("dt", {}, zh, " ", el("small", {lang: "en"}, en)), el("dd", {}, value)))),
    el("p", {class: "file"}, el("code", {}, photo.name))));
  pane.look(null);
  return pane;
}

function toggle(pane, what) {
  const button = el("button", {type: "button", "aria-pressed": "true"}, t(what));
  button.addEventListener("click", () => button.setAttribute("aria-pressed", !pane.classList.toggle(`no-${what}`)));
  return button;
}
