// What lies below the marks: MapLibre where the browser has WebGL, else the page's own map.

import { at } from "../core/dom";
import type { Place } from "../core/geodesy";
import type { Ground } from "../map/ground";
import { plainGround } from "../map/plain";
import { lastPart } from "./answers";
import type { Api, Settings } from "./api";

export interface Below {
  readonly ground: Ground;
  // Shows the photos of these databases.
  readonly photos: (databases: readonly string[]) => void;
  readonly background: (of: Pick<Settings, "tiles" | "pmtiles">) => Promise<void>;
}

const MOST_DOTS = 2_000;

// `?map=plain` asks for the map that needs nothing.
export async function groundFor(api: Api): Promise<Below> {
  const plain = new URLSearchParams(location.search).get("map") === "plain";
  if (plain || !hasWebGl()) return withDots(api);
  try {
    return await withTiles(api);
  } catch {
    at("map").querySelector(".ground")?.remove();
    return withDots(api);
  }
}

function hasWebGl(): boolean {
  const context = document.createElement("canvas").getContext("webgl2");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return context !== null;
}

async function withTiles(api: Api): Promise<Below> {
  // Most of the page's bytes, so it is loaded only where it can run.
  const { vectorGround } = await import("../map/vector");
  const ground = vectorGround(
    (url) => ({ url, headers: api.headers(url) }),
    (message) => {
      at("map-note").textContent = `The map’s background cannot be loaded: ${message}`;
    },
  );
  return {
    ground,
    photos: (databases) =>
      ground.showPhotos(
        databases.map((name) => api.template(`v1/tiles/${encodeURIComponent(name)}/{z}/{x}/{y}.mvt`)),
      ),
    background: ({ tiles, pmtiles }) =>
      ground.showBackground({
        tiles: tiles && api.template(tiles.url),
        pmtiles: pmtiles && api.url(pmtiles),
        headers: pmtiles ? api.headers(api.url(pmtiles)) : {},
      }),
  };
}

interface Features {
  readonly features: readonly {
    readonly geometry: { readonly coordinates: readonly [number, number] };
    readonly properties: { readonly path: string };
  }[];
}

function withDots(api: Api): Below {
  const ground = plainGround();
  return {
    ground,
    photos: (databases) => {
      const asked = databases.map((name) =>
        api.json<Features>(`v1/photos?database=${encodeURIComponent(name)}&limit=${MOST_DOTS}`),
      );
      void Promise.allSettled(asked).then((pages) => {
        const features = pages.flatMap((page) => (page.status === "fulfilled" ? page.value.features : []));
        const places = features.map(({ geometry }): Place => ({
          lat: geometry.coordinates[1],
          lon: geometry.coordinates[0],
        }));
        ground.show(
          places,
          features.map(({ properties }) => lastPart(properties.path)),
        );
      });
    },
    background: () => Promise.resolve(),
  };
}
