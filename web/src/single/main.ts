// The map page of `locate --map`: all in one file, answers and photos within it.

import "../styles/base.css";
import "../styles/single.css";
import { at, element } from "../core/dom";
import type { Candidate, Picture, Query, Size } from "../core/model";
import type { Place } from "../core/geodesy";
import { number, plural } from "../core/words";
import { Chart } from "../map/chart";
import { plainGround } from "../map/plain";
import { answerNodes } from "../show/answer";
import { card, Comparison, lightCard } from "../show/cards";
import { legend } from "../show/legend";
import { picture } from "../show/picture";

// As hafloc/show/map_page.py writes it: a picture is a number of a thumbnail, or why there is none.
type Reference = number | string;
type Told<T, Pictures extends string> = Omit<T, Pictures> & Record<Pictures, Reference>;
interface ToldCandidate extends Told<Omit<Candidate, "joined" | "beside">, "picture"> {
  readonly beside: Reference | null;
  readonly sizes: readonly [Size, Size] | null;
}
interface Content {
  readonly photos: readonly [number, number, string][];
  readonly total: number;
  readonly queries: readonly (Told<Omit<Query, "candidates">, "picture"> & {
    readonly candidates: readonly ToldCandidate[];
  })[];
  readonly thumbnails: readonly string[];
}

const content = JSON.parse(at("content").textContent) as Content;
const { photos, total } = content;
const pictured = (of: Reference): Picture =>
  typeof of === "string" ? { missing: of } : { src: content.thumbnails[of] as string };
const queries: Query[] = content.queries.map((query) => ({
  ...query,
  picture: pictured(query.picture),
  candidates: query.candidates.map((candidate) => ({
    ...candidate,
    picture: pictured(candidate.picture),
    beside: candidate.beside === null ? null : pictured(candidate.beside),
    joined: null,
  })),
}));
const places: Place[] = photos.map(([lat, lon]) => ({ lat, lon }));

let chosen = -1;
let lit = 0;
let chart: Chart;
let comparison: Comparison;

function light(rank: number, reveal = false): void {
  if (rank === lit) return;
  lit = rank;
  lightCard(rank, reveal);
  chart.set({ lit: rank });
}

function show(rank: number): void {
  light(rank);
  const candidate = queries[chosen]?.candidates[rank - 1];
  if (candidate) chart.reveal(candidate);
}

function choose(index: number, keep = false): void {
  const query = queries[index];
  if (!query) return;
  chosen = index;
  lit = 0;
  const open = (rank: number): void => {
    show(rank);
    comparison.open(query, rank);
  };
  document.querySelectorAll("#query-list button").forEach((node, i) => {
    if (i === index) node.setAttribute("aria-current", "true");
    else node.removeAttribute("aria-current");
  });
  at("answer").replaceChildren(...answerNodes(query, { compare: open }));
  const cards = query.candidates.map((candidate) =>
    element("li", {}, {}, card(candidate, { open, light: show })),
  );
  at("cards").replaceChildren(...cards);
  at("evidence").scrollTop = 0;
  if (!keep) {
    try {
      history.replaceState(null, "", `#${index + 1}`);
    } catch {
      // Some browsers refuse this for files.
    }
  }
  const others = queries.filter((_, i) => i !== index);
  chart.set({
    query,
    lit: 0,
    others: others.map((other) => ({ place: other, absent: other.found === false })),
  });
  legend(query, others);
  chart.fit();
}

function listed(query: Query, index: number): HTMLElement {
  const missing = element("span", { class: "missing" }, {}, "not in this database");
  return element(
    "li",
    {},
    {},
    element(
      "button",
      { type: "button", title: query.path },
      { click: () => choose(index) },
      picture(query.picture, ""),
      element("span", { class: "name" }, {}, query.name),
      ...(query.found === false ? [missing] : []),
    ),
  );
}

function start(): void {
  at("main").hidden = false;
  const part = photos.length < total ? `, ${number(photos.length)} of them on the map` : "";
  at("summary").textContent =
    `${plural(queries.length, "query", "queries")} · ${number(total)} photos in the database${part}`;
  at("queries").hidden = queries.length < 2;
  at("main").classList.toggle("single", queries.length < 2);
  at("query-list").replaceChildren(...queries.map(listed));
  const ground = plainGround();
  comparison = new Comparison((rank) => light(rank));
  chart = new Chart(ground, {
    light: (rank) => light(rank, true),
    whole: () => [...places, ...(queries[chosen]?.candidates ?? [])],
  });
  ground.show(
    places,
    photos.map(([, , path]) => path),
  );
  if (!queries.length) {
    at("answer").hidden = at("evidence").hidden = true;
    chart.fitWhole();
    return;
  }
  const asked = Number(location.hash.slice(1)) - 1;
  choose(queries[asked] ? asked : 0, true);
}

at("query-list").addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!by || !queries[chosen + by]) return;
  event.preventDefault();
  choose(chosen + by);
  document.querySelectorAll<HTMLElement>("#query-list button")[chosen]?.focus();
});
start();
