// What is said of one query, in words and its best match.

import { button, element } from "../core/dom";
import type { Candidate, Query } from "../core/model";
import { compass, degrees, length, number, percent } from "../core/words";
import { agreement, matching } from "./matches";
import { picture } from "./picture";
import { copy } from "./say";

export interface Acts {
  readonly compare: (rank: number) => void;
  readonly more?: readonly HTMLElement[];
}

export function answerNodes(query: Query, acts: Acts): Node[] {
  const best = query.candidates[0];
  const absent = query.found === false;
  const copying = (words: string, attributes = {}): HTMLElement =>
    button(words, () => void copy(degrees(query)), attributes);
  const text = element(
    "div",
    { class: "text" },
    {},
    element("h2", { title: query.path, tabindex: -1, id: "answer-title" }, {}, query.name),
    ...place(query),
    ...notes(query),
    element(
      "div",
      { class: "actions" },
      {},
      ...(absent ? [] : [copying("Copy position", { class: "strong" })]),
      ...(acts.more ?? []),
      ...(absent ? [copying("Copy best guess")] : []),
      elsewhere(query, absent ? "Best guess on OpenStreetMap" : "OpenStreetMap"),
    ),
    ...(best ? [note(`Best photo: similarity ${number(best.similarity, 2)}`)] : []),
  );
  return [
    picture(query.picture, `Query ${query.name}`),
    text,
    ...(best ? why(query, best, acts.compare) : []),
  ];
}

// The answer in one sentence, for live regions.
export function inWords(query: Query): string {
  if (query.found === false) {
    return `${query.name}: not in this database; best guess ${degrees(query)}`;
  }
  const about = howSure(query);
  return `${query.name}: ${degrees(query)}${about ? `, ${about}` : ""}`;
}

function place(query: Query): Node[] {
  if (query.found !== false) return [element("p", { class: "place" }, {}, degrees(query))];
  return [
    element("p", { class: "absent" }, {}, "Not in this database"),
    element("p", { class: "place guess" }, {}, `best guess ${degrees(query)}`),
  ];
}

function howSure(query: Query): string {
  const absent = query.found === false;
  const radius =
    query.radius === null
      ? ""
      : `within ${length(query.radius)}${query.probability === null ? "" : ` (${number(query.probability * 100)}\u00a0%)`}`;
  return [
    radius,
    query.confidence === null ? "" : `confidence ${percent(query.confidence)}`,
    query.views && !absent ? `from ${query.views} photos’ views` : "",
    query.calibration === "shipped" && query.radius !== null && !absent ? "not fitted to this database" : "",
  ]
    .filter(Boolean)
    .join(" · ");
}

function notes(query: Query): Node[] {
  const nodes = [];
  if (query.heading !== null)
    nodes.push(note(`looking ${compass(query.heading)} (${number(query.heading)}°)`));
  nodes.push(note(howSure(query) || "How far off this may be is not known: hafloc calibrate learns it."));
  if (query.note) nodes.push(note(query.note));
  if (query.duplicate) {
    const name = element("strong", {}, {}, query.duplicate);
    nodes.push(element("p", { class: "same" }, {}, "This very photo is in the database: ", name));
  }
  return nodes;
}

export const note = (text: string): HTMLElement => element("p", { class: "note" }, {}, text);

function elsewhere({ lat, lon }: Query, words: string): HTMLElement {
  const href = `https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=18/${lat}/${lon}`;
  return element("a", { href, target: "_blank", rel: "noopener noreferrer" }, {}, words);
}

// What the answer rests on, in a picture where there are matches, in words in any case.
function why(query: Query, best: Candidate, compare: (rank: number) => void): Node[] {
  if (best.inliers === null) return [];
  if (!best.inliers || !best.pairs.length) return [note(agreement(best))];
  const words = element("span", { class: "note" }, {}, `Query and best photo: ${agreement(best)}`);
  return [
    element(
      "button",
      { type: "button", id: "why", title: "Compare the photos" },
      { click: () => compare(1) },
      matching(query, best),
      words,
    ),
  ];
}
