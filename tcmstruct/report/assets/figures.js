// Filter, and figures saved as files. Nothing is fetched or sent: a figure is written out from the page itself.
const tools = document.querySelector(".tools"), box = document.querySelector("#find");
const named = [...document.querySelectorAll("[data-name]")];
for (const part of document.querySelectorAll(".tools,.save")) part.hidden = false;

function filter() {
  const words = box.value.trim().toLowerCase();
  let n = 0;
  for (const one of named) {
    one.hidden = words !== "" && !one.dataset.name.toLowerCase().includes(words);
    n += !one.hidden && one.matches(".fig");
  }
  for (const pack of document.querySelectorAll(".pack")) {
    const hit = pack.querySelector(".fig:not([hidden])") !== null;
    pack.hidden = !hit;
    if (words && hit) pack.open = true;
  }
  document.querySelector("#found").textContent = words ? `${n} 图 figures` : "";
}

if (tools) {
  box.addEventListener("input", filter);
  tools.addEventListener("click", event => {
    const all = event.target.closest("[data-all]");
    if (all) for (const pack of document.querySelectorAll(".pack")) pack.open = all.dataset.all === "open";
  });
}

const source = svg => new XMLSerializer().serializeToString(svg);

// The drawing in its own colours: as an image it stands outside of the page's style sheet.
async function png(svg) {
  const picture = new Image();
  picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(source(svg));
  await picture.decode();
  const canvas = document.createElement("canvas"), zoom = 2;
  [canvas.width, canvas.height] = [svg.width.baseVal.value * zoom, svg.height.baseVal.value * zoom];
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise(done => canvas.toBlob(done, "image/png"));
}

async function save(button) {
  const svg = button.closest(".fig").querySelector("svg"), kind = button.dataset.save;
  const blob = kind === "png" ? await png(svg)
    : new Blob(['<?xml version="1.0" encoding="UTF-8"?>\n', source(svg)], {type: "image/svg+xml"});
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${button.closest(".save").dataset.file}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

document.addEventListener("click", event => {
  const button = event.target.closest("[data-save]");
  if (button) save(button);
});
