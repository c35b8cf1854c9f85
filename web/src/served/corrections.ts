// Where a person says that photos were taken, kept in this browser alone.

import { isPlace, type Place } from "../core/geodesy";

const KEY = "hafloc.corrections";

export interface Correction extends Place {
  readonly name: string;
}

export class Corrections {
  private readonly known = new Map<string, Correction>();

  // `failed` is told where the browser keeps nothing.
  constructor(private readonly failed: (message: string) => void) {
    try {
      const stored = JSON.parse(localStorage.getItem(KEY) ?? "[]") as Correction[];
      for (const { name, lat, lon } of Array.isArray(stored) ? stored : []) {
        if (typeof name === "string" && isPlace(lat, lon)) this.known.set(name, { name, lat, lon });
      }
    } catch {
      // Damaged, or storage is not allowed here: start without.
    }
  }

  get all(): readonly Correction[] {
    return [...this.known.values()];
  }

  of(name: string): Correction | null {
    return this.known.get(name) ?? null;
  }

  put(name: string, { lat, lon }: Place): void {
    this.known.set(name, { name, lat, lon });
    this.keep();
  }

  drop(name: string): void {
    this.known.delete(name);
    this.keep();
  }

  private keep(): void {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.all));
    } catch {
      this.failed("This browser keeps nothing for this page: save positions.csv before you leave.");
    }
  }
}
