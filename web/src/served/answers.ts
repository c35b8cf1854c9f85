// What the service says of photos, as JSON, and how the page shows it.

import type { Place } from "../core/geodesy";
import { turned } from "../core/geodesy";
import type { Candidate, Picture, Query, Size } from "../core/model";
import type { Api } from "./api";

export interface ToldCandidate {
  readonly rank: number;
  readonly id: number;
  readonly path: string;
  readonly position: Place;
  readonly heading: number | null;
  readonly magnetic: boolean;
  readonly similarity: number;
  readonly feature_distance: number;
  readonly metres: number;
  readonly inliers: number | null;
  readonly matches: number | null;
  readonly geometry: string | null;
  readonly licence: string | null;
  readonly producer: string | null;
  readonly source_url: string | null;
  readonly query_view: { heading: number; pitch: number; field_of_view: number } | null;
  readonly thumbnail?: string | null;
}

export interface Evidence {
  readonly id: string;
  readonly expires: string;
  readonly matches: string;
  readonly attention: string;
  readonly photo: string;
}

export interface Answer {
  readonly query: string;
  readonly found: boolean | null;
  readonly position: Place;
  readonly views: number;
  readonly radius: number | null;
  readonly probability: number | null;
  readonly confidence: number | null;
  readonly calibration: string | null;
  readonly cautious: boolean;
  readonly duplicate_of: { id: number; path: string } | null;
  readonly note: string | null;
  readonly heading: number | null;
  readonly candidates: readonly ToldCandidate[];
  readonly database?: string;
  readonly evidence?: Evidence | null;
  readonly pairs?: {
    readonly query_size: Size;
    readonly candidate_size: Size;
    readonly points: readonly (readonly number[])[];
  } | null;
}

// More would hide the photos.
const MOST_LINES = 60;

export function queryOf(answer: Answer, name: string, preview: Picture, api: Api): Query {
  return {
    name,
    path: name,
    lat: answer.position.lat,
    lon: answer.position.lon,
    radius: answer.radius,
    probability: answer.probability,
    confidence: answer.confidence,
    calibration: answer.calibration,
    found: answer.found,
    duplicate: answer.duplicate_of?.path ?? null,
    note: answer.note,
    views: answer.views,
    heading: answer.heading === null ? null : Math.round((turned(answer.heading) + 360) % 360),
    picture:
      answer.evidence && "src" in preview
        ? { ...preview, instead: api.source(answer.evidence.photo) }
        : preview,
    candidates: answer.candidates.map((candidate) => candidateOf(candidate, answer, api)),
  };
}

export const credit = (of: {
  producer?: string | null;
  licence?: string | null;
  source_url?: string | null;
}): string => [of.producer, of.licence, of.source_url].filter(Boolean).join(", ");

export const lastPart = (path: string): string => path.split("/").pop() || path;

function candidateOf(told: ToldCandidate, answer: Answer, api: Api): Candidate {
  const pairs = told.rank === 1 && !told.query_view ? answer.pairs : null;
  const { evidence } = answer;
  return {
    rank: told.rank,
    name: lastPart(told.path),
    path: told.path,
    lat: told.position.lat,
    lon: told.position.lon,
    heading: told.heading,
    magnetic: told.magnetic,
    similarity: told.similarity,
    distance: told.feature_distance,
    metres: told.metres,
    inliers: told.inliers,
    matches: told.matches,
    geometry: told.geometry,
    credit: credit(told),
    picture: told.thumbnail ? api.picture(told.thumbnail) : { missing: "no picture is kept of it" },
    beside: null,
    pairs: pairs ? thinned(pairs.points).flat() : [],
    sizes: pairs ? [pairs.query_size, pairs.candidate_size] : null,
    joined: evidence ? api.picture(evidence.matches.replace("{rank}", String(told.rank))) : null,
  };
}

function thinned<T>(all: readonly T[]): T[] {
  const step = Math.max(1, all.length / MOST_LINES);
  return Array.from({ length: Math.min(all.length, MOST_LINES) }, (_, i) => all[Math.floor(i * step)] as T);
}
