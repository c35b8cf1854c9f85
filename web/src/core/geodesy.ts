// Distances and directions on a sphere, good to half a percent: for drawing, not for measuring.

export interface Place {
  readonly lat: number;
  readonly lon: number;
}

export interface Area extends Place {
  readonly metres: number;
}

export const EARTH = 6_371_009;
const RADIAN = Math.PI / 180;

export const turned = (degrees: number): number => ((((degrees + 180) % 360) + 360) % 360) - 180;

export function distance(a: Place, b: Place): number {
  const north = Math.sin(((b.lat - a.lat) * RADIAN) / 2);
  const east = Math.sin(((b.lon - a.lon) * RADIAN) / 2);
  const chord = north ** 2 + Math.cos(a.lat * RADIAN) * Math.cos(b.lat * RADIAN) * east ** 2;
  return 2 * EARTH * Math.asin(Math.min(1, Math.sqrt(chord)));
}

// The place `metres` away from `from` towards `bearing`, degrees clockwise from north.
export function away(from: Place, bearing: number, metres: number): Place {
  const arc = metres / EARTH;
  const lat = from.lat * RADIAN;
  const sine = Math.sin(lat) * Math.cos(arc) + Math.cos(lat) * Math.sin(arc) * Math.cos(bearing * RADIAN);
  const east = Math.sin(bearing * RADIAN) * Math.sin(arc) * Math.cos(lat);
  const turn = Math.atan2(east, Math.cos(arc) - Math.sin(lat) * sine);
  return { lat: Math.asin(Math.max(-1, Math.min(1, sine))) / RADIAN, lon: turned(from.lon + turn / RADIAN) };
}

export function circle(area: Area, corners = 72): Place[] {
  return Array.from({ length: corners }, (_, i) => away(area, (i * 360) / corners, area.metres));
}

// West, south, east, north of a circle; west is beyond east where it crosses the date line.
export function boxOf(area: Area): [number, number, number, number] {
  const south = away(area, 180, area.metres).lat;
  const north = away(area, 0, area.metres).lat;
  const wide = Math.min(180, area.metres / EARTH / RADIAN / Math.max(1e-6, Math.cos(area.lat * RADIAN)));
  if (wide >= 180) return [-180, south, 180, north];
  return [turned(area.lon - wide), south, turned(area.lon + wide), north];
}

// The largest of 1, 2, 5 times a power of ten that is not above `most`.
export function roundStep(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((n) => n * power).find((n) => n <= most) ?? power;
}

export const isPlace = (lat: number, lon: number): boolean =>
  Number.isFinite(lat) && Number.isFinite(lon) && Math.abs(lat) <= 90 && Math.abs(lon) <= 180;
