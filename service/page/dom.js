/** Making elements. Text only ever enters as text: nothing here, or elsewhere, parses HTML. */

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An HTML element; attributes that begin with "on" are listeners, children are nodes or text. */
export const el = (tag, attributes = {}, ...children) =>
  filled(document.createElement(tag), attributes, children);

/** An SVG element. */
export const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

/** Text for screen readers only. */
export const spoken = (text) => el("span", { class: "spoken" }, text);

/** Text that only the eye needs. */
export const drawn = (text, className) => el("span", { class: className, "aria-hidden": "true" }, text);

export const percent = (share) => `${Math.round(share * 100)}%`;

/** An influence as a factor: ×2.1, or ÷2.1 where it held back. */
export function times(influence) {
  const factor = Math.exp(Math.abs(influence));
  const figure = factor >= 10 ? Math.round(Math.min(factor, 999)) : factor.toFixed(1);
  return `${influence < 0 ? "÷" : "×"}${figure}`;
}

/** A move between two ranks as a badge: new where there was none before, nothing where it stayed. */
export function moved(before, after) {
  if (before === undefined || before === null) return el("span", { class: "badge new" }, "new");
  const rose = before - after;
  if (rose === 0) return null;
  const [sign, word] = rose > 0 ? ["▲", "up"] : ["▼", "down"];
  return el(
    "span",
    { class: `badge ${word}` },
    drawn(`${sign} ${Math.abs(rose)}`),
    spoken(`, ${word} ${Math.abs(rose)}`),
  );
}
