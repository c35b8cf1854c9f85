// How the map looks: few colours, those of the page; backgrounds of any origin drawn quietly.

import type { LayerSpecification, SourceSpecification } from "maplibre-gl";
import type { PMTiles } from "pmtiles";
import type { Background } from "./vector";

export interface Colours {
  readonly land: string;
  readonly grid: string;
  readonly dot: string;
  readonly card: string;
  readonly dark: boolean;
}

export function colours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(name).trim();
  return {
    land: of("--land"),
    grid: of("--grid"),
    dot: of("--dot"),
    card: of("--card"),
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
  };
}

export const photoLayer = (id: string, tint: Colours): LayerSpecification => ({
  id,
  type: "circle",
  source: id,
  "source-layer": "photos",
  paint: {
    "circle-color": tint.dot,
    "circle-stroke-color": tint.card,
    "circle-stroke-width": ["interpolate", ["linear"], ["zoom"], 12, 0, 16, 1],
    "circle-radius": ["min", 9, ["+", 2.5, ["log10", ["max", 1, ["to-number", ["get", "count"], 1]]], 0.5]],
  },
});

interface Base {
  sources: Record<string, SourceSpecification>;
  layers: LayerSpecification[];
}

// What lies below the photos, of a template or of a PMTiles archive.
export async function backgroundLayers(
  { tiles, pmtiles }: Background,
  archive: PMTiles | null,
): Promise<Base> {
  if (archive && pmtiles) {
    const header = await archive.getHeader();
    const url = `pmtiles://${pmtiles}`;
    // 1 is MVT; all others of the format are pictures.
    if (header.tileType !== 1) return raster({ type: "raster", url, tileSize: 256 });
    const metadata = (await archive.getMetadata()) as { vector_layers?: { id: string }[] };
    const names = (metadata.vector_layers ?? []).map((layer) => layer.id);
    return vector({ type: "vector", url }, names);
  }
  if (!tiles) return { sources: {}, layers: [] };
  if (/\.(mvt|pbf)(\?|$)/.test(tiles)) return vector({ type: "vector", tiles: [tiles], maxzoom: 14 }, COMMON);
  return raster({ type: "raster", tiles: [tiles], tileSize: 256, maxzoom: 19 });
}

function raster(source: SourceSpecification): Base {
  const { dark } = colours();
  return {
    sources: { base: source },
    layers: [
      {
        id: "base",
        type: "raster",
        source: "base",
        paint: {
          "raster-saturation": -0.55,
          "raster-opacity": dark ? 0.5 : 0.75,
          "raster-contrast": -0.1,
        },
      },
    ],
  };
}

// Of the schemas of Protomaps, OpenMapTiles and Shortbread.
const COMMON = [
  ...["earth", "landuse", "landcover", "park", "land", "sites"],
  ...["water", "waterway", "ocean", "water_polygons", "water_lines"],
  ...["buildings", "building", "roads", "transportation", "streets", "boundaries", "boundary"],
];
const WATER = /water|ocean|lake|river/;
const BUILT = /building/;
const WAY = /road|street|transport|highway|rail|path|ferry|bridge/;
const EDGE = /bound|admin/;
const WORDS = /label|place|poi|name|address|number|pier/;

function vector(source: SourceSpecification, names: readonly string[]): Base {
  const { dark } = colours();
  const tint = dark
    ? { water: "#16232b", built: "#23292d", way: "#2e363b", green: "#1b2321", edge: "#48525a" }
    : { water: "#d4e1e6", built: "#e2e4de", way: "#ffffff", green: "#e5eae0", edge: "#b9bfb9" };
  const layers: LayerSpecification[] = [];
  const polygons = (id: string, colour: string): LayerSpecification => ({
    id: `base-${id}-fill`,
    type: "fill",
    source: "base",
    "source-layer": id,
    filter: ["==", ["geometry-type"], "Polygon"],
    paint: { "fill-color": colour },
  });
  const lines = (id: string, colour: string, width: number): LayerSpecification => ({
    id: `base-${id}-line`,
    type: "line",
    source: "base",
    "source-layer": id,
    filter: ["==", ["geometry-type"], "LineString"],
    paint: {
      "line-color": colour,
      "line-width": ["interpolate", ["exponential", 1.6], ["zoom"], 8, width * 0.4, 14, width, 18, width * 5],
    },
  });
  const drawnNames = names.filter((name) => !WORDS.test(name));
  const order = [
    (name: string) => !WATER.test(name) && !BUILT.test(name) && !WAY.test(name) && !EDGE.test(name),
    (name: string) => WATER.test(name),
    (name: string) => WAY.test(name),
    (name: string) => BUILT.test(name),
    (name: string) => EDGE.test(name),
  ];
  order.forEach((fits, i) => {
    for (const name of drawnNames.filter(fits)) {
      if (i === 0 && name !== "earth") layers.push(polygons(name, tint.green));
      if (i === 1) layers.push(polygons(name, tint.water), lines(name, tint.water, 1));
      if (i === 2) layers.push(lines(name, tint.way, 1.6));
      if (i === 3) layers.push(polygons(name, tint.built));
      if (i === 4) layers.push(lines(name, tint.edge, 0.8));
    }
  });
  return { sources: { base: source }, layers };
}
