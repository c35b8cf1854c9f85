// "It was here": a person says where a photo was really taken.

import { at, button, element } from "../core/dom";
import { isPlace, type Place } from "../core/geodesy";
import { degrees } from "../core/words";
import type { Chart } from "../map/chart";
import { numberIn } from "./area";
import type { Corrections } from "./corrections";
import { positionsCsv, save } from "./export";

const lat = at<HTMLInputElement>("correct-lat");
const lon = at<HTMLInputElement>("correct-lon");

export class Correct {
  private name: string | null = null;
  private handle: ReturnType<Chart["handle"]> | null = null;

  constructor(
    private readonly chart: Chart,
    private readonly corrections: Corrections,
    private readonly changed: () => void,
  ) {
    for (const field of [lat, lon]) field.addEventListener("input", () => this.follow());
    at("correct-middle").addEventListener("click", () => this.put(chart.middle()));
    at("correct-cancel").addEventListener("click", () => this.end());
    at("correct").addEventListener("submit", (event) => {
      event.preventDefault();
      this.finish();
    });
    at("correct").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.end();
    });
    at("positions").addEventListener("click", () =>
      save(positionsCsv(corrections.all), "positions.csv", "text/csv"),
    );
    this.list();
  }

  get open(): boolean {
    return this.name !== null;
  }

  start(name: string, place: Place): void {
    this.handle?.end();
    this.name = name;
    at("correct").hidden = false;
    this.handle = this.chart.handle(place, (to) => this.write(to));
    this.write(place);
    this.chart.reveal(place);
    lat.focus();
  }

  put(place: Place): void {
    this.write(place);
    this.handle?.put(place);
  }

  end(): void {
    if (!this.open) return;
    this.name = null;
    this.handle?.end();
    this.handle = null;
    at("correct").hidden = true;
    document.getElementById("correct-open")?.focus();
  }

  private finish(): void {
    const place = this.written();
    at("correct-problem").hidden = place !== null;
    if (!place || this.name === null) {
      at("correct-problem").textContent = "latitude is from -90 to 90, longitude from -180 to 180";
      return;
    }
    this.corrections.put(this.name, place);
    this.list();
    this.changed();
    this.end();
  }

  private follow(): void {
    const place = this.written();
    if (place) this.handle?.put(place);
  }

  private written(): Place | null {
    const place = { lat: numberIn(lat.value), lon: numberIn(lon.value) };
    return isPlace(place.lat, place.lon) ? place : null;
  }

  private write(place: Place): void {
    lat.value = place.lat.toFixed(7);
    lon.value = place.lon.toFixed(7);
  }

  private list(): void {
    const all = this.corrections.all;
    at("corrections").hidden = all.length === 0;
    at("corrected").replaceChildren(
      ...all.map(({ name, ...place }) =>
        element(
          "li",
          {},
          {},
          element("span", { class: "name", title: name }, {}, name),
          element("span", { class: "facts" }, {}, degrees(place)),
          button(
            "Forget",
            () => {
              this.corrections.drop(name);
              this.list();
              this.changed();
            },
            { class: "small", "aria-label": `Forget where ${name} was` },
          ),
        ),
      ),
    );
  }
}
