// The circle to search in: written, drawn, or taken from the map's view.

import { at } from "../core/dom";
import { distance, isPlace, type Area } from "../core/geodesy";
import type { Chart } from "../map/chart";

const lat = at<HTMLInputElement>("area-lat");
const lon = at<HTMLInputElement>("area-lon");
const metres = at<HTMLInputElement>("area-metres");
const SMALLEST = 1;
const LARGEST = 20_000_000;

// As people write numbers: "48,2" and "48.2° N" too.
export const numberIn = (text: string): number => {
  const found = /^\s*([+-]?\d+(?:[.,]\d+)?)\s*°?\s*([NSEWnsew]?)\s*$/.exec(text);
  if (!found) return NaN;
  const value = Number(found[1]?.replace(",", "."));
  return /[SWsw]/.test(found[2] ?? "") ? -value : value;
};

export class AreaForm {
  constructor(
    private readonly chart: Chart,
    private readonly browse: (area: Area) => void,
  ) {
    for (const field of [lat, lon, metres]) {
      field.addEventListener("change", () => this.show());
      field.addEventListener("input", () => this.tell(""));
    }
    at("area-draw").addEventListener("click", () => {
      at("map-part").scrollIntoView({ block: "nearest" });
      this.told("Press where the middle is, and draw outwards. Escape leaves it.");
      chart.drawArea((area) => {
        this.told("");
        if (area) this.put(area);
        at("area-draw").focus();
      });
    });
    at("area-view").addEventListener("click", () => {
      const centre = chart.middle();
      const [west, south] = chart.box();
      const [width, height] = chart.ground.size();
      const left = distance(centre, { lat: centre.lat, lon: west });
      const below = distance(centre, { lat: south, lon: centre.lon });
      this.put({ ...centre, metres: width < height ? left : below });
    });
    at("area-browse").addEventListener("click", () => {
      const area = this.value();
      if (area) this.browse(area);
      else this.tell("write or draw a circle first");
    });
    at("area-clear").addEventListener("click", () => {
      lat.value = lon.value = metres.value = "";
      this.show();
      lat.focus();
    });
  }

  // null where the fields are empty; throws where they hold no circle.
  value(): Area | null {
    if (![lat, lon, metres].some((field) => field.value.trim())) return null;
    const area = { lat: numberIn(lat.value), lon: numberIn(lon.value), metres: numberIn(metres.value) };
    if (!isPlace(area.lat, area.lon)) {
      throw new Error("the circle needs a latitude from -90 to 90 and a longitude from -180 to 180");
    }
    if (!(area.metres >= SMALLEST && area.metres <= LARGEST)) {
      throw new Error("the circle needs a radius of 1 metre or more");
    }
    return area;
  }

  put(area: Area): void {
    lat.value = area.lat.toFixed(6);
    lon.value = area.lon.toFixed(6);
    metres.value = String(Math.max(SMALLEST, Math.round(area.metres)));
    at<HTMLDetailsElement>("where").open = true;
    this.show();
  }

  tell(problem: string): void {
    at("area-problem").textContent = problem;
    at("area-problem").hidden = !problem;
  }

  private told(text: string): void {
    at("map-note").textContent = text;
    at("map-note").hidden = !text;
  }

  private show(): void {
    const complete = [lat, lon, metres].every((field) => field.value.trim());
    at("area-clear").hidden = ![lat, lon, metres].some((field) => field.value.trim());
    try {
      this.chart.set({ area: complete ? this.value() : null });
      this.tell("");
    } catch (error) {
      this.chart.set({ area: null });
      this.tell((error as Error).message);
    }
  }
}
