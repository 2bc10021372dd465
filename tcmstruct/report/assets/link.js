"use strict";
// Links the fields of a record with their evidence in its text, both ways. No record data stands in this script.
const segmentsOf = (record, kind, index) =>
  [...record.querySelectorAll(`.seg[data-${kind}]`)].filter(s => s.dataset[kind].split(" ").includes(String(index)));

function flash(segments) {
  if (!segments.length) return;
  for (const old of document.querySelectorAll(".seg.flash")) old.classList.remove("flash");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  segments[0].scrollIntoView({block: "center", behavior: calm ? "auto" : "smooth"});
  for (const s of segments) s.classList.add("flash");
  clearTimeout(flash.timer);
  flash.timer = setTimeout(() => segments.forEach(s => s.classList.remove("flash")), 2200);
}

function heat(target) {
  for (const old of document.querySelectorAll(".hot")) old.classList.remove("hot");
  const record = target && target.closest(".rec");
  if (!record) return;
  const row = target.closest("tr[data-f]"), segment = target.closest(".seg");
  if (row) {
    row.classList.add("hot");
    for (const s of segmentsOf(record, "f", row.dataset.f)) s.classList.add("hot");
  } else if (segment) {
    for (const f of (segment.dataset.f || "").split(" ").filter(Boolean)) {
      const line = record.querySelector(`tr[data-f="${f}"]`);
      if (line) line.classList.add("hot");
    }
    const inner = (segment.dataset.m || "").split(" ").pop();
    for (const s of inner ? segmentsOf(record, "m", inner) : [segment]) s.classList.add("hot");
  }
}

document.addEventListener("click", event => {
  const record = event.target.closest(".rec");
  if (!record) return;
  const row = event.target.closest("tr[data-f]"), segment = event.target.closest(".seg[data-f]");
  if (row && !String(getSelection())) flash(segmentsOf(record, "f", row.dataset.f));
  else if (segment && !String(getSelection())) {
    const line = record.querySelector(`tr[data-f="${segment.dataset.f.split(" ").pop()}"]`);
    if (line) line.scrollIntoView({block: "nearest"});
    heat(segment);
  }
});
document.addEventListener("mouseover", event => heat(event.target));
document.addEventListener("focusin", event => heat(event.target));
