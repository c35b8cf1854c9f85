// Numbers, lengths and directions as people read them; no line breaks before a unit.

import type { Place } from "./geodesy";

export const number = (value: number, digits = 0): string =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const length = (metres: number): string => {
  if (metres >= 10_000) return `${number(metres / 1000)}\u00a0km`;
  if (metres >= 1000) return `${number(metres / 1000, 1)}\u00a0km`;
  return metres < 1 ? `${number(metres * 100)}\u00a0cm` : `${number(metres)}\u00a0m`;
};

// Nothing is as sure as 100 %, nor as hopeless as 0 %.
export const percent = (share: number): string => {
  if (share > 0.99) return "above 99\u00a0%";
  return share < 0.01 ? "below 1\u00a0%" : `${number(share * 100)}\u00a0%`;
};

export const degrees = ({ lat, lon }: Place): string => `${lat.toFixed(6)}, ${lon.toFixed(6)}`;

const POINTS = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];

export const compass = (heading: number): string => POINTS[Math.round(heading / 45) % 8] as string;

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${number(count)} ${count === 1 ? one : many}`;

export const bytes = (count: number): string =>
  count < 1_000_000 ? `${number(count / 1000)} kB` : `${number(count / 1_000_000, 1)} MB`;
