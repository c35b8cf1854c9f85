// What is drawn over a map: the answer with its radius, candidates by rank, ways cameras looked.

import { drawn } from "../core/dom";
import { circle, type Area, type Place } from "../core/geodesy";
import type { Candidate, Query } from "../core/model";
import type { Ground, Point } from "./ground";

export interface Scene {
  query: Query | null;
  lit: number;
  // Answers of other queries.
  others: readonly { place: Place; absent: boolean }[];
  walk: readonly Place[];
  area: Area | null;
  corrected: Place | null;
  browsed: readonly Place[];
}

export const EMPTY: Scene = {
  query: null,
  lit: 0,
  others: [],
  walk: [],
  area: null,
  corrected: null,
  browsed: [],
};

type Labels = Map<number, Point>;

const PIN = "M8 19C8 19 15 11.5 15 7.6A7 7 0 0 0 1 7.6C1 11.5 8 19 8 19Z";

// The marks of a scene and where the candidates' numbers came to lie.
export function marksOf(scene: Scene, ground: Ground): { nodes: SVGElement[]; labels: Labels } {
  const nodes: SVGElement[] = [];
  const labels: Labels = new Map();
  if (scene.area) nodes.push(outline(ground, scene.area, "area"));
  if (scene.walk.length > 1) {
    const points = scene.walk.map((place) => ground.project(place).join(",")).join(" ");
    nodes.push(drawn("polyline", { class: "walk", points }));
  }
  for (const place of scene.browsed) nodes.push(dot(ground.project(place), "browsed", 5));
  for (const { place, absent } of scene.others) {
    nodes.push(dot(ground.project(place), absent ? "other guess" : "other", 6));
  }
  if (scene.query) nodes.push(...queryMarks(scene.query, scene.lit, ground, labels));
  if (scene.corrected) nodes.push(...cross(ground.project(scene.corrected)));
  return { nodes, labels };
}

function outline(ground: Ground, area: Area, kind: string): SVGElement {
  const points = circle(area)
    .map((place) => ground.project(place).join(","))
    .join(" ");
  return drawn("polygon", { class: kind, points });
}

const dot = ([cx, cy]: Point, kind: string, r: number): SVGElement =>
  drawn("circle", { class: kind, cx, cy, r });

function queryMarks(query: Query, lit: number, ground: Ground, labels: Labels): SVGElement[] {
  const nodes: SVGElement[] = [];
  const pin = ground.project(query);
  const points = query.candidates.map((candidate) => ground.project(candidate));
  if (query.radius) nodes.push(outline(ground, { ...query, metres: query.radius }, "around"));
  const spread = apart(points, [pin[0], pin[1] - 18]);
  const order = query.candidates.map((_, i) => i).reverse();
  if (lit) order.push(...order.splice(order.indexOf(lit - 1), 1));
  for (const i of order) {
    const candidate = query.candidates[i] as Candidate;
    labels.set(candidate.rank, spread[i] as Point);
    nodes.push(candidateMark(candidate, points[i] as Point, spread[i] as Point, candidate.rank === lit));
  }
  if (query.heading !== null) nodes.push(wedge(query.heading, pin));
  nodes.push(pinMark(pin, query.found === false));
  return nodes;
}

function pinMark(at: Point, absent: boolean): SVGElement {
  const guess = absent ? " guess" : "";
  return drawn(
    "g",
    { transform: `translate(${at[0] - 12.8} ${at[1] - 30.4}) scale(1.6)` },
    drawn("path", { class: `pin${guess}`, d: PIN }),
    drawn("circle", { class: `hole${guess}`, cx: 8, cy: 7.6, r: 2.6 }),
  );
}

function wedge(heading: number, [x, y]: Point): SVGElement {
  const corner = (turn: number): string => {
    const angle = ((heading + turn) * Math.PI) / 180;
    return `${x + Math.sin(angle) * 34},${y - Math.cos(angle) * 34}`;
  };
  return drawn("path", { class: "view", d: `M${x},${y}L${corner(-24)}L${corner(24)}Z` });
}

function candidateMark(candidate: Candidate, point: Point, label: Point, on: boolean): SVGElement {
  const group = drawn("g", { class: on ? "candidate on" : "candidate", "data-rank": candidate.rank });
  if (candidate.heading !== null) group.append(wedge(candidate.heading, point));
  if (Math.hypot(label[0] - point[0], label[1] - point[1]) > 6) {
    group.append(
      drawn("line", { class: "leader", x1: point[0], y1: point[1], x2: label[0], y2: label[1] }),
      dot(point, "foot", 3),
    );
  }
  group.append(
    dot(label, "mark", on ? 13 : 11),
    drawn("text", { x: label[0], y: label[1] }, String(candidate.rank)),
  );
  return group;
}

function cross([x, y]: Point): SVGElement[] {
  const d = `M${x - 9},${y}H${x + 9}M${x},${y - 9}V${y + 9}`;
  return [drawn("path", { class: "cross edge", d }), drawn("path", { class: "cross", d })];
}

// Numbers that would hide each other or the pin move apart, tied to their places by a line.
function apart(points: readonly Point[], pin: Point): readonly Point[] {
  if (points.length > 60) return points;
  const moved = points.map((p, i): [number, number] => [
    p[0] + Math.cos(i * 2.4) * 0.5,
    p[1] + Math.sin(i * 2.4) * 0.5,
  ]);
  for (let round = 0; round < 80; round++) {
    moved.forEach((a, i) => {
      for (const b of moved.slice(i + 1)) push(a, b, 23, 0.5);
      push(a, [...pin], 25, 1);
      push(a, [pin[0], pin[1] + 18], 15, 1);
    });
  }
  return moved;
}

function push(a: [number, number], b: [number, number], gap: number, share: number): void {
  const dx = a[0] - b[0];
  const dy = a[1] - b[1];
  const far = Math.hypot(dx, dy) || 1e-6;
  if (far >= gap) return;
  const move = ((gap - far) / far) * share;
  a[0] += dx * move;
  a[1] += dy * move;
  if (share < 1) {
    b[0] -= dx * move;
    b[1] -= dy * move;
  }
}
