// Elements whose content is text, never markup: nothing that a record holds can become part of the page.
export const $ = id => document.getElementById(id);

export function el(tag, given = {}, ...inner) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in {value: 1, checked: 1, disabled: 1, hidden: 1}) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...inner.flat().filter(one => one !== null && one !== undefined && one !== false));
  return made;
}

export function options(select, pairs, keep = select.value) {
  select.replaceChildren(...pairs.map(([value, label]) => el("option", {value}, label)));
  select.value = keep;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}
