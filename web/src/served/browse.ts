// The database's own photos around a place, nearest first, a page at a time.

import { at, element } from "../core/dom";
import { distance, turned, type Area, type Place } from "../core/geodesy";
import { compass, degrees, length, number, plural } from "../core/words";
import type { Chart } from "../map/chart";
import { picture } from "../show/picture";
import { say } from "../show/say";
import { credit, lastPart } from "./answers";
import type { Api } from "./api";

interface Feature {
  readonly id: number | string;
  readonly geometry: { readonly coordinates: readonly [number, number] };
  readonly properties: {
    readonly path: string;
    readonly heading: number | null;
    readonly time: string | null;
    readonly licence?: string | null;
    readonly producer?: string | null;
    readonly source_url?: string | null;
    readonly thumbnail?: string | null;
  };
}

interface Page {
  readonly features: readonly Feature[];
  readonly links?: readonly { readonly rel: string; readonly href: string }[];
}

const PAGE = 24;
// The most that the service gives at once.
const MOST = 1000;
// Halvings of a box that holds more: the world becomes a street.
const MOST_HALVINGS = 16;

type Box = readonly [number, number, number, number];

export class Browse {
  private found: readonly Feature[] = [];
  private shown = 0;
  // Beyond those that were found there are more.
  private partly = false;
  private middle: Place = { lat: 0, lon: 0 };
  // Of several questions only the last one's answer is shown.
  private asked = 0;

  constructor(
    private readonly api: Api,
    private readonly chart: Chart,
    private readonly database: () => string,
  ) {
    at("browse-more").addEventListener("click", () => this.more());
    at("browse-close").addEventListener("click", () => this.close());
  }

  // `box` is west, south, east, north. Where there is no photo, that is said and nothing opens.
  async open(box: Box, middle: Place | Area): Promise<void> {
    const turn = ++this.asked;
    this.middle = middle;
    this.found = [];
    this.shown = 0;
    at("browsed").replaceChildren();
    let problem = "";
    try {
      const page = await this.around(box, middle);
      if (turn !== this.asked) return;
      const far = new Map(page.features.map((feature) => [feature, distance(placeOf(feature), middle)]));
      const reach = "metres" in middle ? middle.metres : Infinity;
      this.found = page.features
        .filter((feature) => (far.get(feature) as number) <= reach)
        .sort((a, b) => (far.get(a) as number) - (far.get(b) as number));
      this.partly = page.partly;
    } catch (error) {
      if (turn !== this.asked) return;
      problem = (error as Error).message;
    }
    this.more();
    if (!this.found.length) {
      at("browse").hidden = true;
      return say(problem || `no photo of the database around ${degrees(middle)}`, 4000);
    }
    at("browse").hidden = false;
    at("browse-title").focus({ preventScroll: true });
    at("browse").scrollIntoView({ block: "nearest" });
  }

  close(): void {
    this.asked += 1;
    at("browse").hidden = true;
    this.chart.set({ browsed: [] });
    at("map").focus({ preventScroll: true });
  }

  // All photos of the box, or of as large a part around its middle as the service gives at once: it
  // gives them in order of their numbers, so that the nearest may lack where it does not give all.
  private async around(
    whole: Box,
    middle: Place,
  ): Promise<{ features: readonly Feature[]; partly: boolean }> {
    let box = whole;
    let page = await this.page(box);
    for (let halvings = 0; isCut(page) && halvings < MOST_HALVINGS; halvings++) {
      box = halved(box, middle);
      const inner = await this.page(box);
      if (inner.features.length < PAGE) {
        const near = new Set(inner.features.map(({ id }) => id));
        const rest = page.features.filter(({ id }) => !near.has(id));
        return { features: [...inner.features, ...rest], partly: true };
      }
      page = inner;
    }
    return { features: page.features, partly: isCut(page) || box !== whole };
  }

  private page(box: Box): Promise<Page> {
    const query = new URLSearchParams({
      bbox: box.map((side) => side.toFixed(7)).join(","),
      limit: String(MOST),
    });
    if (this.database()) query.set("database", this.database());
    return this.api.json<Page>(`v1/photos?${query.toString()}`);
  }

  private more(): void {
    const first = this.shown;
    const added = this.found.slice(first, first + PAGE);
    this.shown += added.length;
    at("browsed").append(...added.map((feature) => this.card(feature)));
    at("browse-note").textContent = this.counted();
    if (first) at("browsed").children[first]?.querySelector<HTMLElement>("button")?.focus();
    at("browse-more").hidden = this.shown >= this.found.length;
    this.chart.set({ browsed: this.found.slice(0, this.shown).map(placeOf) });
  }

  private counted(): string {
    const all = this.found.length;
    const count =
      this.partly || this.shown < all
        ? `${number(this.shown)} of ${this.partly ? "more than " : ""}${plural(all, "photo")}`
        : plural(all, "photo");
    return `${count} around ${degrees(this.middle)}${all > 1 ? ", nearest first" : ""}`;
  }

  private card(feature: Feature): HTMLElement {
    const { properties } = feature;
    const place = placeOf(feature);
    const facts = [
      `${length(distance(place, this.middle))} away`,
      properties.heading === null
        ? ""
        : `looking ${compass(properties.heading)} (${number(properties.heading)}°)`,
      properties.time?.slice(0, 10) ?? "",
      credit(properties),
    ].filter(Boolean);
    return element(
      "li",
      {},
      {},
      element(
        "button",
        { type: "button", class: "card", title: `${properties.path}: show it on the map` },
        { click: () => this.chart.ground.centre(place) },
        properties.thumbnail
          ? picture(this.api.picture(properties.thumbnail), "")
          : picture({ missing: "no picture is kept of it" }, ""),
        element("span", { class: "name" }, {}, lastPart(properties.path)),
        ...facts.map((fact) => element("span", { class: "facts" }, {}, fact)),
      ),
    );
  }
}

const isCut = (page: Page): boolean => !!page.links?.some(({ rel }) => rel === "next");

// Half as wide and half as high around `middle`; west is beyond east where it crosses the date line.
function halved([west, south, east, north]: Box, { lat, lon }: Place): Box {
  const eastwards = (from: number, to: number): number => (((to - from) % 360) + 360) % 360;
  return [
    turned(lon - eastwards(west, lon) / 2),
    (lat + south) / 2,
    turned(lon + eastwards(lon, east) / 2),
    (lat + north) / 2,
  ];
}

const placeOf = ({ geometry }: Feature): Place => ({
  lat: geometry.coordinates[1],
  lon: geometry.coordinates[0],
});
