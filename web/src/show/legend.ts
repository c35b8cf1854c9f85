// What the legend below the map explains: no mark that is not there, and all that are.

import { at } from "../core/dom";
import type { Query } from "../core/model";
import { number } from "../core/words";

// `chosen` is the query that the map is about, `others` are those whose answers are points.
export function legend(chosen: Query | null, others: readonly Query[]): void {
  const absent = (query: Query): boolean => query.found === false;
  at("legend-guess").hidden = !chosen || !absent(chosen);
  at("legend-radius").hidden = !chosen?.radius;
  at("legend-others").hidden = others.every(absent);
  at("legend-other-guesses").hidden = !others.some(absent);
  const share = chosen?.probability ? ` with ${number(chosen.probability * 100)}\u00a0%` : "";
  at("legend-probability").textContent = `holds the true place${share}`;
}
