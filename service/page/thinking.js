/** The steps of the reasoning: chart, timeline, and what each step wrote and nearly wrote. */

import { bumpChart, rankTable } from "./chart.js";
import { byId, drawn, el, moved, percent, spoken } from "./dom.js";

const NAMED = 3;
let tableOpen = false;

/**
 * @param explanation of the answer
 * @param focus {item?, step?}
 * @param onItem, onStep called with the number of what is to be looked at
 */
export function drawThinking(explanation, focus, onItem, onStep) {
  const section = byId("thinking");
  const { steps, items } = explanation;
  section.hidden = !steps.length || !items.length;
  if (section.hidden) return;
  const thought = steps.length > 1;
  section.replaceChildren(el("h2", { id: "thinking-title" }, "How it got there"));
  if (thought) {
    const width = Math.max(300, Math.min(860, section.clientWidth - 48));
    section.append(
      el("p", { class: "note" }, "Each line is an item, each number its rank among all items after the step."),
      bumpChart(items, width, focus, onItem),
      el(
        "details",
        { open: tableOpen, ontoggle: (event) => (tableOpen = event.target.open) },
        el("summary", {}, "Ranks as a table"),
        rankTable(items),
      ),
    );
  } else {
    section.append(el("p", { class: "note" }, "Answered at first sight. Let it think longer to see steps."));
  }
  section.append(
    el("ol", { class: "steps" }, ...steps.map((step) => stepCard(step, focus.step === step.step, onStep))),
  );
}

function stepCard(step, chosen, onStep) {
  return el(
    "li",
    { class: chosen ? "step chosen" : "step" },
    el(
      "div",
      { class: "step-head" },
      el("h3", {}, step.step ? `Step ${step.step}` : "First impression"),
      el(
        "button",
        { type: "button", class: "light-button", "aria-pressed": String(chosen), onclick: () => onStep(step.step) },
        "Light the history",
        spoken(` for ${step.step ? `step ${step.step}` : "the first impression"}`),
      ),
    ),
    el("p", {}, step.summary),
    step.written && codes([step.written, ...step.runners_up]),
    facts(step),
  );
}

function codes(choices) {
  return el(
    "ul",
    { class: "codes", "aria-label": "Code written, then runners-up" },
    ...choices.map((code, place) => {
      const row = el(
        "li",
        { class: place ? "code" : "code written", title: `level ${code.level + 1}, code ${code.code}` },
        el("span", { class: "code-label" }, code.label),
        el("span", { class: "code-share" }, percent(code.probability)),
        drawn("", "meter"),
      );
      row.style.setProperty("--share", code.probability.toFixed(3));
      return row;
    }),
  );
}

function facts(step) {
  const nearest = step.nearest_items.slice(0, NAMED).map((item) => item.title);
  const top = step.top_items.slice(0, NAMED);
  return el(
    "dl",
    { class: "facts" },
    el("dt", {}, "Thinking of"),
    el("dd", {}, nearest.join(" · ")),
    el("dt", {}, "On top"),
    el("dd", {}, ...top.map((item) => el("span", { class: "moved" }, item.title, step.step ? moved(item.previous_rank, item.rank) : null))),
    el("dt", {}, "Still to go"),
    el("dd", {}, step.distance_to_final ? step.distance_to_final.toFixed(2) : "none: this is where it ended"),
  );
}
