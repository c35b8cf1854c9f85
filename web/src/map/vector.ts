// The map by MapLibre: tiles below where there are some, and the database's photos as vector tiles.

import { Map as MapLibre, addProtocol, setWorkerUrl } from "maplibre-gl";
import type {
  LayerSpecification,
  RequestParameters,
  SourceSpecification,
  StyleSpecification,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import { FetchSource, PMTiles, Protocol } from "pmtiles";
import type { GeoJSON } from "geojson";
import { at, element } from "../core/dom";
import { EARTH, roundStep, turned, type Place } from "../core/geodesy";
import { fromMercator, mercator, type Ground, type Point } from "./ground";
import { backgroundLayers, colours, photoLayer } from "./style";

export interface Background {
  // A template of raster or vector tiles, or the archive of them.
  readonly tiles: string | null;
  readonly pmtiles: string | null;
  // What the archive is asked with.
  readonly headers: Record<string, string>;
}

const DEGREES = Math.PI / 180;
const MOST_ZOOM = 22;
const HIT = 8;

export class VectorGround implements Ground {
  private readonly map: MapLibre;
  private photos: readonly string[] = [];
  private base: { sources: Record<string, SourceSpecification>; layers: LayerSpecification[] } = {
    sources: {},
    layers: [],
  };

  // `request` may add to what is sent for tiles. Throws where WebGL is missing.
  constructor(
    private readonly node: HTMLElement,
    request: (url: string) => RequestParameters,
    failed: (message: string) => void,
  ) {
    setWorkerUrl(workerUrl);
    const box = element("div", { class: "ground" });
    node.prepend(box);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = new MapLibre({
      container: box,
      style: this.style(),
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      keyboard: false,
      maxZoom: MOST_ZOOM,
      fadeDuration: still ? 0 : 150,
      transformRequest: request,
      canvasContextAttributes: { failIfMajorPerformanceCaveat: false },
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.getCanvas().setAttribute("tabindex", "-1");
    this.map.getCanvas().setAttribute("aria-hidden", "true");
    this.map.getCanvas().removeAttribute("aria-label");
    this.map.getCanvas().removeAttribute("role");
    this.map.on("error", (event) => failed(event.error.message));
    this.map.on("moveend", () => this.graticule());
    this.map.on("load", () => this.graticule());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.restyle());
  }

  // Templates of databases' photos as vector tiles with a layer "photos".
  showPhotos(templates: readonly string[]): void {
    this.photos = templates;
    this.restyle();
  }

  async showBackground(background: Background): Promise<void> {
    let archive: PMTiles | null = null;
    if (background.pmtiles) {
      archive = new PMTiles(new FetchSource(background.pmtiles, new Headers(background.headers)));
      const protocol = new Protocol();
      protocol.add(archive);
      addProtocol("pmtiles", protocol.tile);
    }
    this.base = await backgroundLayers(background, archive);
    this.restyle();
  }

  size(): Point {
    return [this.node.clientWidth, this.node.clientHeight];
  }

  project({ lat, lon }: Place): Point {
    const middle = this.map.getCenter().lng;
    const { x, y } = this.map.project([middle + turned(lon - middle), lat]);
    return [x, y];
  }

  unproject([x, y]: Point): Place {
    const { lat, lng } = this.map.unproject([x, y]);
    return { lat, lon: turned(lng) };
  }

  fit(places: readonly Place[], leastMetres: number): void {
    const first = places[0];
    if (!first) return;
    const points = places.map((place) =>
      mercator({ lat: place.lat, lon: first.lon + turned(place.lon - first.lon) }),
    );
    const xs = points.map((point) => point[0]);
    const ys = points.map((point) => point[1]);
    const [west, east] = [least(xs), most(xs)];
    const [south, north] = [least(ys), most(ys)];
    const [width, height] = this.size();
    const tight = leastMetres / EARTH / Math.max(1e-3, Math.cos(first.lat * DEGREES));
    const scale = Math.min(
      Math.max(40, width - 90) / Math.max(east - west, tight),
      Math.max(40, height - 110) / Math.max(north - south, tight),
    );
    const centre = fromMercator((west + east) / 2, (south + north) / 2);
    // MapLibre's world is 512 pixels wide at zoom 0.
    const zoom = Math.min(MOST_ZOOM, Math.log2((scale * 2 * Math.PI) / 512));
    this.map.jumpTo({ center: [centre.lon, centre.lat], zoom });
  }

  pan(right: number, down: number): void {
    this.map.panBy([-right, -down], { animate: false });
  }

  zoom(factor: number): void {
    this.map.zoomTo(this.map.getZoom() + Math.log2(factor), { duration: 200 });
  }

  centre({ lat, lon }: Place): void {
    this.map.jumpTo({ center: [lon, lat] });
  }

  nameAt([x, y]: Point): string {
    const layers = this.photos.map((_, i) => `photos-${i}`).filter((id) => this.map.getLayer(id));
    if (!layers.length) return "";
    const found = this.map.queryRenderedFeatures(
      [
        [x - HIT, y - HIT],
        [x + HIT, y + HIT],
      ],
      { layers },
    );
    const count = found.reduce((sum, feature) => sum + Number(feature.properties["count"] ?? 1), 0);
    return count ? `${count === 1 ? "a photo" : `${count} photos`} of the database` : "";
  }

  resize(): void {
    this.map.resize();
  }

  onMove(act: () => void): void {
    this.map.on("move", act);
    this.map.on("resize", act);
  }

  onClick(act: (point: Point) => void): void {
    this.map.on("click", ({ point }) => act([point.x, point.y]));
  }

  private restyle(): void {
    this.map.setStyle(this.style());
    this.map.once("styledata", () => this.graticule());
  }

  private style(): StyleSpecification {
    const tint = colours();
    const sources: Record<string, SourceSpecification> = {
      graticule: { type: "geojson", data: { type: "FeatureCollection", features: [] } },
      ...this.base.sources,
    };
    const layers: LayerSpecification[] = [
      { id: "land", type: "background", paint: { "background-color": tint.land } },
      {
        id: "graticule",
        type: "line",
        source: "graticule",
        paint: { "line-color": tint.grid, "line-width": 1 },
      },
      ...this.base.layers,
    ];
    this.photos.forEach((template, i) => {
      sources[`photos-${i}`] = { type: "vector", tiles: [template], maxzoom: 16 };
      layers.push(photoLayer(`photos-${i}`, tint));
    });
    return { version: 8, sources, layers };
  }

  // Lines of round degrees, so that a map without tiles has something to hold on to.
  private graticule(): void {
    const source = this.map.getSource("graticule");
    if (!source || !("setData" in source)) return;
    const bounds = this.map.getBounds();
    const [west, east] = [bounds.getWest(), bounds.getEast()];
    const [south, north] = [bounds.getSouth(), bounds.getNorth()];
    const step = roundStep(((east - west) * 130) / Math.max(1, this.size()[0]));
    const lines: [number, number][][] = [];
    for (let lon = Math.floor(west / step) * step; lon <= east; lon += step) {
      lines.push([
        [lon, south - step],
        [lon, north + step],
      ]);
    }
    for (let lat = Math.floor(south / step) * step; lat <= north; lat += step) {
      lines.push([
        [west - step, lat],
        [east + step, lat],
      ]);
    }
    (source as { setData: (data: GeoJSON) => void }).setData({
      type: "Feature",
      properties: {},
      geometry: { type: "MultiLineString", coordinates: lines },
    });
  }
}

const least = (values: number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values: number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity);

export const vectorGround = (
  request: (url: string) => RequestParameters,
  failed: (message: string) => void,
): VectorGround => new VectorGround(at("map"), request, failed);
