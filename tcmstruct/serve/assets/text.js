// The record's text as elements, and the places of what a reader selects in it, in Unicode code points.
import {el} from "./dom.js";

export function textOf(record) {
  const marks = new Map(record.mentions.map(one => [one.name, one]));
  return el("div", {class: "text", dir: "ltr"}, record.segments.map(segment => piece(segment, record, marks)));
}

function piece(segment, record, marks) {
  let inner = segment.t.map(one => Array.isArray(one)
    ? el("span", {class: "inv", role: "img", "data-u": one[0], "aria-label": one[0], title: one[0]}) : one);
  for (const [n, lane, opens, closes] of [...(segment.m || [])].reverse()) {
    const mention = marks.get(record.marks[n]);
    const css = `m ${mention.css} l${lane}${opens ? " a" : ""}${closes ? " z" : ""}`;
    inner = [el("mark", {class: css, title: describe(mention)}, inner)];
  }
  const made = el("span", {class: `seg${segment.f ? " ev" : ""}`, "data-at": segment.at}, inner);
  if (segment.m) made.dataset.m = segment.m.map(one => one[0]).join(" ");
  made.fields = segment.f || [];
  return made;
}

export const describe = mention => [mention.type, mention.status, mention.confidence === null ? null : mention.confidence.toFixed(2), ...mention.codes]
  .filter(Boolean).join(" · ");

// The text's code points; a hidden character is one that nobody types.
export const pointsOf = record => record.segments.flatMap(segment => segment.t.flatMap(one => Array.isArray(one) ? ["\uFFFF"] : [...one]));

const lengthOf = node => node.nodeType === Node.TEXT_NODE ? [...node.data].length
  : node.classList?.contains("inv") ? 1 : [...node.childNodes].reduce((sum, one) => sum + lengthOf(one), 0);

function placeOf(node, offset) {
  const segment = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node).closest(".seg");
  if (!segment) return null;
  let at = Number(segment.dataset.at);
  if (node.nodeType === Node.TEXT_NODE) at += [...node.data.slice(0, offset)].length;
  else for (const one of [...node.childNodes].slice(0, offset)) at += lengthOf(one);
  for (let here = node; here !== segment; here = here.parentNode) {
    for (let before = here.previousSibling; before; before = before.previousSibling) at += lengthOf(before);
  }
  return at;
}

// {start, end} of what is selected in the record's text, or null.
export function selected() {
  const selection = getSelection();
  if (!selection || selection.isCollapsed || !selection.rangeCount) return null;
  const range = selection.getRangeAt(0), root = document.querySelector(".words .text");
  if (!root || !root.contains(range.startContainer) || !root.contains(range.endContainer)) return null;
  const start = placeOf(range.startContainer, range.startOffset), end = placeOf(range.endContainer, range.endOffset);
  return start === null || end === null || start >= end ? null : {start, end};
}

// Place of `words` in the text, the one nearest to `near`; null where they do not stand there.
export function placeOfWords(points, words, near) {
  const sought = [...words];
  let best = null;
  for (let at = 0; sought.length && at + sought.length <= points.length; at++) {
    if (sought.every((char, i) => points[at + i] === char) && (best === null || Math.abs(at - near) < Math.abs(best - near))) best = at;
  }
  return best === null ? null : {start: best, end: best + sought.length};
}
