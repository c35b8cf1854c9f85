// Answers as files for maps and tables of others, as `hafloc locate` writes them.

import type { Place } from "../core/geodesy";
import { compass, degrees } from "../core/words";
import type { Answer } from "./answers";

export interface Named {
  readonly name: string;
  readonly answer: Answer;
}

export interface Format {
  readonly title: string;
  readonly file: string;
  readonly type: string;
  readonly write: (all: readonly Named[]) => string;
}

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';

export const FORMATS: readonly Format[] = [
  { title: "GeoJSON", file: "answers.geojson", type: "application/geo+json", write: geojson },
  { title: "KML", file: "answers.kml", type: "application/vnd.google-earth.kml+xml", write: kml },
  { title: "CSV", file: "answers.csv", type: "text/csv", write: csv },
  { title: "GPX", file: "answers.gpx", type: "application/gpx+xml", write: gpx },
];

// As a point on a map a best guess would look like an answer.
const placed = (all: readonly Named[]): Named[] => all.filter(({ answer }) => answer.found !== false);

function geojson(all: readonly Named[]): string {
  const features = all.flatMap(({ name, answer }) => {
    const { position, candidates, pairs: _, evidence: __, duplicate_of: duplicate, ...rest } = answer;
    const own = { kind: "answer", ...rest, query: name, duplicate_of: duplicate?.path ?? null };
    return [
      point(position, own),
      ...candidates.map(({ position: place, thumbnail: ___, ...candidate }) =>
        point(place, { kind: "candidate", query: name, ...candidate }),
      ),
    ];
  });
  return JSON.stringify({ type: "FeatureCollection", features }, null, 1);
}

const point = ({ lat, lon }: Place, properties: object): object => ({
  type: "Feature",
  geometry: { type: "Point", coordinates: [lon, lat] },
  properties,
});

function kml(all: readonly Named[]): string {
  const marks = placed(all).map(
    ({ name, answer }) =>
      `  <Placemark>\n    <name>${xml(name)}</name>\n    <description>${xml(inWords(answer))}</description>\n` +
      `    <Point><coordinates>${fixed(answer.position.lon)},${fixed(answer.position.lat)}</coordinates></Point>\n` +
      "  </Placemark>\n",
  );
  return `${HEAD}<kml xmlns="http://www.opengis.net/kml/2.2">\n<Document>\n${marks.join("")}</Document>\n</kml>\n`;
}

function gpx(all: readonly Named[]): string {
  const points = placed(all).map(
    ({ name, answer }) =>
      `  <wpt lat="${fixed(answer.position.lat)}" lon="${fixed(answer.position.lon)}">\n` +
      `    <name>${xml(name)}</name>\n    <desc>${xml(inWords(answer))}</desc>\n  </wpt>\n`,
  );
  const open = '<gpx version="1.1" creator="hafloc" xmlns="http://www.topografix.com/GPX/1/1">';
  return `${HEAD}${open}\n${points.join("")}</gpx>\n`;
}

const COLUMNS = [
  "image",
  "lat",
  "lon",
  "heading",
  "accuracy",
  "probability",
  "confidence",
  "found",
  "nearest",
];

function csv(all: readonly Named[]): string {
  return table([COLUMNS, ...placed(all).map(row)]);
}

const row = ({ name, answer }: Named): string[] => [
  bare(name),
  fixed(answer.position.lat),
  fixed(answer.position.lon),
  told(answer.heading, 1),
  told(answer.radius, 2),
  answer.probability?.toString() ?? "",
  told(answer.confidence, 4),
  answer.found?.toString() ?? "",
  bare(answer.candidates[0]?.path ?? ""),
];

const told = (value: number | null, digits: number): string => value?.toFixed(digits) ?? "";

// What `hafloc calibrate --positions` and `hafloc index add --positions` read.
export function positionsCsv(corrections: readonly (Place & { readonly name: string })[]): string {
  return table([
    ["image", "lat", "lon"],
    ...corrections.map(({ name, lat, lon }) => [name, fixed(lat), fixed(lon)]),
  ]);
}

const table = (rows: readonly (readonly string[])[]): string =>
  rows.map((row) => `${row.map(cell).join(",")}\n`).join("");

const cell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

const fixed = (value: number): string => value.toFixed(7);

function inWords(answer: Answer): string {
  const known = [];
  if (answer.radius !== null) {
    const share = (answer.probability ?? 0) * 100;
    known.push(`within ${Math.round(answer.radius).toLocaleString("en")} m (${+share.toFixed(4)} %)`);
  }
  if (answer.confidence !== null) known.push(`confidence ${answer.confidence.toFixed(2)}`);
  if (answer.views) known.push(`from ${answer.views} photos' views`);
  if (answer.heading !== null)
    known.push(`looking ${Math.round(answer.heading)}° (${compass(answer.heading)})`);
  return `${degrees(answer.position)}  ${known.join(", ")}`.trimEnd();
}

const xml = (text: string): string =>
  bare(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");

// XML has no way to write control characters and halves of letters.
const bare = (text: string): string => text.toWellFormed().replace(/[\p{Cc}\p{Cs}\p{Cn}\p{Zl}\p{Zp}]/gu, "?");

export function save(text: string, file: string, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = file;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
