// What is shown of a query and its candidates, wherever it comes from.

import type { Place } from "./geodesy";

// `instead` makes another where the browser cannot show the first.
export type Picture =
  | { readonly src: string; readonly instead?: () => Promise<string> }
  | { readonly missing: string }
  | { readonly load: () => Promise<string> };

export type Size = readonly [number, number];

export interface Candidate extends Place {
  readonly rank: number;
  readonly name: string;
  readonly path: string;
  readonly heading: number | null;
  readonly magnetic: boolean;
  readonly similarity: number;
  readonly distance: number;
  readonly metres: number;
  readonly inliers: number | null;
  readonly matches: number | null;
  readonly geometry: string | null;
  readonly credit: string;
  readonly picture: Picture;
  // The view of a query's panorama that was compared.
  readonly beside: Picture | null;
  // x, y of the query and of the candidate, one after the other, in photos of these sizes.
  readonly pairs: readonly number[];
  readonly sizes: readonly [Size, Size] | null;
  // Both photos in one picture, with their matches.
  readonly joined: Picture | null;
}

export interface Query extends Place {
  readonly name: string;
  readonly path: string;
  readonly radius: number | null;
  readonly probability: number | null;
  readonly confidence: number | null;
  // What the radius rests on: "own" of this database or "shipped".
  readonly calibration: string | null;
  readonly found: boolean | null;
  readonly duplicate: string | null;
  readonly note: string | null;
  readonly views: number;
  readonly heading: number | null;
  readonly picture: Picture;
  readonly candidates: readonly Candidate[];
}
