// What a map must do for the marks that are drawn over it: north is up, always.

import type { Place } from "../core/geodesy";

export type Point = readonly [number, number];

export interface Ground {
  size(): Point;
  project(place: Place): Point;
  unproject(point: Point): Place;
  fit(places: readonly Place[], leastMetres: number): void;
  pan(right: number, down: number): void;
  zoom(factor: number): void;
  centre(place: Place): void;
  // The name of the database's photo at a point, where the map knows it.
  nameAt(point: Point): string;
  resize(): void;
  // Called whenever what is seen has moved.
  onMove(act: () => void): void;
  onClick(act: (point: Point) => void): void;
}

// In units of the Earth's radius, which MapLibre and this page's own map share.
const MERCATOR_TOP = 89.9;

export function mercator({ lat, lon }: Place): [number, number] {
  const bounded = Math.max(-MERCATOR_TOP, Math.min(MERCATOR_TOP, lat));
  return [(lon * Math.PI) / 180, Math.asinh(Math.tan((bounded * Math.PI) / 180))];
}

export const fromMercator = (x: number, y: number): Place => ({
  lat: (Math.atan(Math.sinh(y)) * 180) / Math.PI,
  lon: (x * 180) / Math.PI,
});
