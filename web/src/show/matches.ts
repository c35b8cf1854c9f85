// A query and a candidate side by side, with a line from key point to key point.

import { drawn } from "../core/dom";
import type { Candidate, Query } from "../core/model";
import { number } from "../core/words";
import { drawnPicture } from "./picture";

const HEIGHT = 480;
const GAP = 12;
const VIRIDIS = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
] as const;

export function agreement({ inliers, matches, geometry }: Candidate): string {
  if (!inliers) return `no match: none of ${number(matches ?? 0)} similar key points agree`;
  return `${number(inliers)} of ${number(matches ?? 0)} matches agree (${geometry})`;
}

// Both photos at one height; lines are coloured from the query's top to its bottom so that
// colour-blind eyes can follow them.
export function matching(query: Query, candidate: Candidate): SVGElement {
  const sizes = candidate.sizes ?? [
    [4, 3],
    [4, 3],
  ];
  const scales = sizes.map((size) => HEIGHT / size[1]) as [number, number];
  const widths = sizes.map((size, i) => size[0] * (scales[i] as number)) as [number, number];
  const lefts = [0, widths[0] + GAP] as [number, number];
  return drawn(
    "svg",
    {
      class: "matches",
      viewBox: `0 0 ${lefts[1] + widths[1]} ${HEIGHT}`,
      role: "img",
      "aria-label": `Query ${query.name} and ${candidate.rank}: ${candidate.name}; ${agreement(candidate)}`,
    },
    drawnPicture(candidate.beside ?? query.picture, [lefts[0], 0, widths[0], HEIGHT]),
    drawnPicture(candidate.picture, [lefts[1], 0, widths[1], HEIGHT]),
    ...lines(candidate.pairs, scales, lefts),
  );
}

function lines(pairs: readonly number[], scales: [number, number], lefts: [number, number]): SVGElement[] {
  const tops = pairs.filter((_, n) => n % 4 === 1);
  const low = Math.min(...tops);
  const high = Math.max(...tops);
  const edges = drawn("g", { class: "edges" });
  const bright = drawn("g");
  for (let n = 0; n + 3 < pairs.length; n += 4) {
    const [a, b, c, d] = pairs.slice(n, n + 4) as [number, number, number, number];
    const x1 = lefts[0] + (a + 0.5) * scales[0];
    const y1 = (b + 0.5) * scales[0];
    const x2 = lefts[1] + (c + 0.5) * scales[1];
    const y2 = (d + 0.5) * scales[1];
    edges.append(drawn("line", { x1, y1, x2, y2 }));
    bright.append(drawn("line", { x1, y1, x2, y2, stroke: viridis((b - low) / Math.max(high - low, 1)) }));
  }
  return [edges, bright];
}

function viridis(share: number): string {
  const at = share * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const from = VIRIDIS[i] as readonly number[];
  const to = VIRIDIS[i + 1] as readonly number[];
  return `rgb(${from.map((c, k) => Math.round(c + ((to[k] as number) - c) * (at - i))).join(",")})`;
}
