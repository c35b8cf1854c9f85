// The database's own photos around a place, a page at a time.

import { at, element } from "../core/dom";
import { distance, type Place } from "../core/geodesy";
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

export class Browse {
  private next: string | null = null;
  private places: Place[] = [];
  private middle: Place = { lat: 0, lon: 0 };
  // Of several questions only the last one's answer is shown.
  private asked = 0;

  constructor(
    private readonly api: Api,
    private readonly chart: Chart,
    private readonly database: () => string,
  ) {
    at("browse-more").addEventListener("click", () => void this.more());
    at("browse-close").addEventListener("click", () => this.close());
  }

  // `box` is west, south, east, north. Where there is no photo, that is said and nothing opens.
  async open(box: readonly number[], middle: Place): Promise<void> {
    const query = new URLSearchParams({
      bbox: box.map((side) => side.toFixed(7)).join(","),
      limit: String(PAGE),
    });
    if (this.database()) query.set("database", this.database());
    this.next = `v1/photos?${query.toString()}`;
    this.middle = middle;
    this.places = [];
    at("browsed").replaceChildren();
    await this.more();
    if (!this.places.length) {
      at("browse").hidden = true;
      return say(at("browse-note").textContent, 4000);
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

  private async more(): Promise<void> {
    if (!this.next) return;
    const turn = ++this.asked;
    try {
      const page = await this.api.json<Page>(this.next);
      if (turn !== this.asked) return;
      this.next = nextOf(page, this.next);
      const first = this.places.length;
      this.places.push(...page.features.map(placeOf));
      at("browsed").append(...page.features.map((feature) => this.card(feature)));
      at("browse-note").textContent = this.places.length
        ? `${plural(this.places.length, "photo")} of the database${this.next ? ", and more" : ""}, around ${degrees(this.middle)}`
        : `no photo of the database around ${degrees(this.middle)}`;
      if (first) at("browsed").children[first]?.querySelector<HTMLElement>("button")?.focus();
    } catch (error) {
      if (turn !== this.asked) return;
      this.next = null;
      at("browse-note").textContent = (error as Error).message;
    }
    at("browse-more").hidden = !this.next;
    this.chart.set({ browsed: [...this.places] });
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

// The link may name the server as a proxy sees it, so only its place in the list is taken.
function nextOf(page: Page, now: string): string | null {
  const link = page.links?.find(({ rel }) => rel === "next")?.href;
  const after = link && new URL(link, document.baseURI).searchParams.get("after");
  if (!after) return null;
  const [path, query] = now.split("?") as [string, string];
  const next = new URLSearchParams(query);
  next.set("after", after);
  return `${path}?${next.toString()}`;
}

const placeOf = ({ geometry }: Feature): Place => ({
  lat: geometry.coordinates[1],
  lon: geometry.coordinates[0],
});
