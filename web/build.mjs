// Builds both pages from one code base: that of `hafloc serve` and the single file of `locate --map`.

import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const ROOT = dirname(fileURLToPath(import.meta.url));
// Another folder than the package is for comparing only.
const PACKAGE = process.argv[2] ?? join(ROOT, "..", "src", "hafloc");
const SERVED = join(PACKAGE, "serve", "page");
const SINGLE = join(PACKAGE, "show", "page");
const NOT_SOURCES = new Set(["node_modules", ".npmrc", "README.md"]);

const files = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
// What both pages show stands in parts/; `<!-- part: NAME fit="…" -->` puts it in, {fit} and all.
const withParts = (html) =>
  html.replace(/^( *)<!-- part: ([\w-]+)((?: \w+="[^"]*")*) -->$/gm, (_, indent, name, given) => {
    const values = Object.fromEntries([...given.matchAll(/(\w+)="([^"]*)"/g)].map(([, k, v]) => [k, v]));
    return readFileSync(join(ROOT, "parts", `${name}.html`), "utf8")
      .trimEnd()
      .replaceAll(/\{(\w+)\}/g, (_, key) => values[key])
      .replaceAll(/^/gm, indent);
  });
const digest = (data) => createHash("sha256").update(data).digest("hex");

async function served() {
  await build({
    root: ROOT,
    configFile: false,
    logLevel: "warn",
    base: "./",
    plugins: [{ name: "parts", transformIndexHtml: { order: "pre", handler: withParts } }],
    build: {
      outDir: SERVED,
      emptyOutDir: true,
      assetsInlineLimit: 0,
      modulePreload: false,
      target: "es2022",
      chunkSizeWarningLimit: 2000,
      rolldownOptions: {
        output: { codeSplitting: { groups: [{ name: "maplibre", test: /node_modules/ }] } },
      },
    },
  });
}

// One script and one style, which hafloc/show/map_page.py puts into the page with its hashes.
async function single() {
  const made = mkdtempSync(join(tmpdir(), "hafloc-page-"));
  await build({
    root: ROOT,
    configFile: false,
    logLevel: "warn",
    publicDir: false,
    build: {
      outDir: made,
      target: "es2022",
      lib: {
        entry: join(ROOT, "src/single/main.ts"),
        formats: ["iife"],
        name: "hafloc",
        fileName: () => "map.js",
        cssFileName: "map",
      },
    },
  });
  mkdirSync(SINGLE, { recursive: true });
  for (const name of ["map.js", "map.css"])
    writeFileSync(join(SINGLE, name), readFileSync(join(made, name), "utf8").trim());
  writeFileSync(join(SINGLE, "map.html"), withParts(readFileSync(join(ROOT, "single.html"), "utf8")));
  rmSync(made, { recursive: true });
}

// The licence texts of all that is built in.
function licences() {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const texts = Object.entries(lock.packages)
    .filter(([path, { dev, optional }]) => path && !dev && !optional)
    .map(([path, { version, license }]) => {
      const folder = join(ROOT, path);
      const names = existsSync(folder)
        ? readdirSync(folder).filter((name) => /^(licen[cs]e|copying)/i.test(name))
        : [];
      const text = names
        .map((name) => readFileSync(join(folder, name), "utf8").replaceAll("\r\n", "\n").trim())
        .join("\n\n");
      const name = path.replace(/^.*node_modules\//, "");
      return `${name} ${version} (${license ?? "see below"})\n${"-".repeat(60)}\n${text || `No text of its own; ${license}.`}\n`;
    });
  const head = "The page of hafloc serve is built with these packages. hafloc itself: MIT.\n\n";
  writeFileSync(join(SERVED, "licences.txt"), head + texts.join("\n\n"));
}

// What tests/page/test_page_is_built.py compares, without Node.
function stamp() {
  const sources = files(ROOT)
    .map((path) => relative(ROOT, path).replaceAll("\\", "/"))
    .filter((path) => !NOT_SOURCES.has(path.split("/")[0]))
    .sort();
  const of = Object.fromEntries(sources.map((path) => [path, digest(readFileSync(join(ROOT, path)))]));
  const made = [...files(SERVED), ...["map.js", "map.css", "map.html"].map((name) => join(SINGLE, name))]
    .map((path) => relative(PACKAGE, path).replaceAll("\\", "/"))
    .sort();
  const built = Object.fromEntries(made.map((path) => [path, digest(readFileSync(join(PACKAGE, path)))]));
  writeFileSync(join(SERVED, "built-from.json"), `${JSON.stringify({ sources: of, built }, null, 1)}\n`);
}

await served();
await single();
licences();
stamp();
