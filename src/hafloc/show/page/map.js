"use strict";
(() => {
const content = JSON.parse(document.getElementById("content").textContent);
const { photos, total, queries, thumbnails } = content;
const at = (id) => document.getElementById(id);
const map = at("map"), canvas = at("dots"), marks = at("marks");
const SVG = "http://www.w3.org/2000/svg";

// Text only ever enters as text: file names may hold anything.
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}
function drawn(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
function picture(of, alt) {
  return typeof of === "number"
    ? element("img", { class: "photo", src: thumbnails[of], alt })
    : element("span", { class: "photo gone", role: "img", "aria-label": `${alt}: ${of}` }, of);
}
const number = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const length = (metres) => metres >= 10000 ? `${number(metres / 1000)} km`
  : metres >= 1000 ? `${number(metres / 1000, 1)} km` : `${number(metres)} m`;
// Nothing is as sure as 100 %, nor as hopeless as 0 %.
const percent = (share) => share > 0.99 ? "above 99 %" : share < 0.01 ? "below 1 %" : `${number(share * 100)} %`;
const degrees = (lat, lon) => `${lat.toFixed(6)}, ${lon.toFixed(6)}`;

// A flat frame in metres, x east and y north of `origin`: WGS84's radii of curvature there.
// Good to a thousandth within 10 km, which no eye sees on a map.
let frame;
function frameAt(lat, lon) {
  const e2 = 0.00669437999014, s = Math.sin(lat * Math.PI / 180), w = 1 - e2 * s * s;
  const meridian = 6378137 * (1 - e2) / Math.pow(w, 1.5), normal = 6378137 / Math.sqrt(w);
  const perLat = meridian * Math.PI / 180;
  const perLon = Math.max(1, normal * Math.cos(lat * Math.PI / 180) * Math.PI / 180);
  const turn = (d) => ((d + 540) % 360 + 360) % 360 - 180;
  return {
    metres: (la, lo) => [turn(lo - lon) * perLon, (la - lat) * perLat],
    degrees: (x, y) => [lat + y / perLat, turn(lon + x / perLon)],
  };
}

let chosen = -1;          // the query shown
let lit = 0;              // the rank that is highlighted; 0: none
let places = [];          // the database's photos in metres
let spots = [];           // the candidates in metres
let size = [1, 1];
const view = { x: 0, y: 0, scale: 1 };   // centre in metres, pixels per metre
const screen = ([x, y]) => [(x - view.x) * view.scale + size[0] / 2, size[1] / 2 - (y - view.y) * view.scale];
const ground = (px, py) => [(px - size[0] / 2) / view.scale + view.x, (size[1] / 2 - py) / view.scale + view.y];

function fitTo(points, least) {
  const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  const low = (v) => v.reduce((a, b) => Math.min(a, b), Infinity);
  const high = (v) => v.reduce((a, b) => Math.max(a, b), -Infinity);
  const west = low(xs), east = high(xs), south = low(ys), north = high(ys);
  view.x = (west + east) / 2;
  view.y = (south + north) / 2;
  view.scale = Math.min((size[0] - 90) / Math.max(east - west, least), (size[1] - 110) / Math.max(north - south, least));
  limit();
}
function limit() { view.scale = Math.min(60, Math.max(1e-5, view.scale)); }
function fitCandidates() {
  if (chosen < 0) return fitWhole();
  const radius = queries[chosen].radius || 0;
  fitTo([[0, 0], ...spots, [radius, radius], [-radius, -radius]], 80);
  draw();
}
function fitWhole() {
  const points = [...places, ...spots];
  fitTo(points.length ? points : [[0, 0]], 80);
  draw();
}
function zoom(factor, px = size[0] / 2, py = size[1] / 2) {
  const before = ground(px, py);
  view.scale *= factor;
  limit();
  const after = ground(px, py);
  view.x += before[0] - after[0];
  view.y += before[1] - after[1];
  draw();
}
function pan(dx, dy) {
  view.x -= dx / view.scale;
  view.y += dy / view.scale;
  draw();
}

function resize() {
  const ratio = window.devicePixelRatio || 1;
  size = [map.clientWidth, map.clientHeight];
  canvas.width = Math.round(size[0] * ratio);
  canvas.height = Math.round(size[1] * ratio);
  marks.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
}
const roundStep = (metres) => {
  const power = Math.pow(10, Math.floor(Math.log10(metres)));
  return [5, 2, 1].map((n) => n * power).find((n) => n <= metres) || power;
};
let waiting = false;
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; drawDots(); drawMarks(); drawScale(); });
}
function drawDots() {
  const ratio = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
  const colours = getComputedStyle(document.documentElement);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, size[0], size[1]);
  drawGrid(pen, colours.getPropertyValue("--grid"));
  pen.fillStyle = colours.getPropertyValue("--dot");
  const radius = places.length > 5000 ? 1.8 : 3;
  for (const place of places) {
    const [x, y] = screen(place);
    if (x < -5 || y < -5 || x > size[0] + 5 || y > size[1] + 5) continue;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.fill();
  }
}
function drawGrid(pen, colour) {
  const step = roundStep(130 / view.scale);
  const [west, north] = ground(0, 0), [east, south] = ground(...size);
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let x = Math.ceil(west / step) * step; x <= east; x += step) {
    const [px] = screen([x, 0]);
    pen.moveTo(Math.round(px) + 0.5, 0); pen.lineTo(Math.round(px) + 0.5, size[1]);
  }
  for (let y = Math.ceil(south / step) * step; y <= north; y += step) {
    const py = screen([0, y])[1];
    pen.moveTo(0, Math.round(py) + 0.5); pen.lineTo(size[0], Math.round(py) + 0.5);
  }
  pen.stroke();
}
function drawScale() {
  const metres = roundStep(130 / view.scale);
  at("scale-text").textContent = metres < 1 ? `${number(metres * 100)} cm` : length(metres);
  at("scale-bar").style.width = `${metres * view.scale}px`;
}

// Numbers that would hide each other or the pin move apart, tied to their places by a line.
function apart(points, pin) {
  const at = points.map((p, i) => [p[0] + Math.cos(i * 2.4) * 0.5, p[1] + Math.sin(i * 2.4) * 0.5]);
  if (points.length > 60) return points;
  for (let round = 0; round < 80; round++) {
    for (let i = 0; i < at.length; i++) {
      for (let j = i + 1; j < at.length; j++) push(at[i], at[j], 23, 0.5);
      push(at[i], pin, 25, 1);
      push(at[i], [pin[0], pin[1] + 18], 15, 1);
    }
  }
  return at;
}
function push(a, b, gap, share) {
  const dx = a[0] - b[0], dy = a[1] - b[1], d = Math.hypot(dx, dy) || 1e-6;
  if (d >= gap) return;
  const move = (gap - d) / d;
  a[0] += dx * move * share; a[1] += dy * move * share;
  if (share < 1) { b[0] -= dx * move * share; b[1] -= dy * move * share; }
}
function drawMarks() {
  marks.replaceChildren();
  if (chosen < 0) return;
  const query = queries[chosen], pin = screen([0, 0]), points = spots.map(screen);
  const absent = query.found === false;
  if (query.radius) marks.append(drawn("circle", { class: "around", cx: pin[0], cy: pin[1], r: query.radius * view.scale }));
  const labels = apart(points, [pin[0], pin[1] - 18]);
  const order = query.candidates.map((c, i) => i).reverse();
  if (lit) order.push(...order.splice(order.indexOf(lit - 1), 1));
  for (const i of order) marks.append(candidateMark(query.candidates[i], points[i], labels[i]));
  if (query.heading !== null) marks.append(wedge(query.heading, pin));
  marks.append(drawn("g", { transform: `translate(${pin[0] - 12.8} ${pin[1] - 30.4}) scale(1.6)` },
    drawn("path", { class: absent ? "pin guess" : "pin", d: "M8 19C8 19 15 11.5 15 7.6A7 7 0 0 0 1 7.6C1 11.5 8 19 8 19Z" }),
    drawn("circle", { class: absent ? "hole guess" : "hole", cx: 8, cy: 7.6, r: 2.6 })));
}
function wedge(heading, point) {
  const corner = (turn, r) => {
    const a = (heading + turn) * Math.PI / 180;
    return `${point[0] + Math.sin(a) * r},${point[1] - Math.cos(a) * r}`;
  };
  return drawn("path", { class: "view", d: `M${point[0]},${point[1]}L${corner(-24, 34)}L${corner(24, 34)}Z` });
}
function candidateMark(candidate, point, label) {
  const group = drawn("g", { class: candidate.rank === lit ? "candidate on" : "candidate", "data-rank": candidate.rank });
  if (candidate.heading !== null) group.append(wedge(candidate.heading, point));
  if (Math.hypot(label[0] - point[0], label[1] - point[1]) > 6) {
    group.append(drawn("line", { class: "leader", x1: point[0], y1: point[1], x2: label[0], y2: label[1] }),
      drawn("circle", { class: "foot", cx: point[0], cy: point[1], r: 3 }));
  }
  const text = drawn("text", { x: label[0], y: label[1] });
  text.textContent = candidate.rank;
  group.append(drawn("circle", { class: "mark", cx: label[0], cy: label[1], r: candidate.rank === lit ? 13 : 11 }), text);
  return group;
}

function light(rank, reveal) {
  if (rank === lit) return;
  lit = rank;
  for (const card of document.querySelectorAll(".card")) card.classList.toggle("on", Number(card.dataset.rank) === rank);
  if (reveal && rank) document.querySelector(`.card[data-rank="${rank}"]`).scrollIntoView({ block: "nearest" });
  draw();
}
// Brings a candidate into sight without losing the answer from it where both fit.
function show(rank) {
  const [x, y] = screen(spots[rank - 1]);
  if (x > 30 && y > 30 && x < size[0] - 30 && y < size[1] - 30) return;
  [view.x, view.y] = spots[rank - 1];
  draw();
}

function choose(index, keep) {
  chosen = index;
  lit = 0;
  const query = queries[index];
  frame = frameAt(query.lat, query.lon);
  places = photos.map(([lat, lon]) => frame.metres(lat, lon));
  spots = query.candidates.map((c) => frame.metres(c.lat, c.lon));
  document.querySelectorAll("#query-list button").forEach((button, i) => {
    if (i === index) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
  });
  writeAnswer(query);
  at("cards").replaceChildren(...query.candidates.map((c) => element("li", {}, card(query, c))));
  at("evidence").scrollTop = 0;
  if (!keep) try { history.replaceState(null, "", `#${index + 1}`); } catch { /* not for this file */ }
  resize();
  fitCandidates();
}
function writeAnswer(query) {
  const text = degrees(query.lat, query.lon);
  const best = query.candidates[0];
  const link = `https://www.openstreetmap.org/?mlat=${query.lat}&mlon=${query.lon}#map=18/${query.lat}/${query.lon}`;
  const absent = query.found === false;
  const about = [
    query.radius !== null ? `within ${length(query.radius)} (${number(query.probability * 100)} %)` : "",
    query.confidence !== null ? `confidence ${percent(query.confidence)}` : "",
    query.views && !absent ? `from ${query.views} photos’ views` : "",
  ].filter(Boolean).join(" · ");
  const parts = [
    element("h2", { title: query.path }, query.name),
    ...(absent ? [element("p", { class: "absent" }, "Not in this database")] : []),
    element("p", { class: "place" }, absent ? `best guess ${text}` : text),
    ...(query.heading === null ? [] : [element("p", { class: "note" }, `looking ${compass(query.heading)} (${query.heading}°)`)]),
    element("p", { class: "note" }, about || "How far off this may be is not known: hafloc calibrate learns it."),
  ];
  if (query.duplicate) parts.push(element("p", { class: "same" }, "This very photo is in the database: ", element("strong", {}, query.duplicate)));
  parts.push(element("div", { class: "actions" },
    element("button", { type: "button", on: { click: () => copy(text) } }, "Copy position"),
    element("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, "OpenStreetMap")));
  parts.push(element("p", { class: "note" }, `Best photo: similarity ${number(best.similarity, 2)}, feature distance ${number(best.distance, 2)}`));
  at("answer").replaceChildren(picture(query.picture, `Query ${query.name}`), element("div", { id: "text" }, ...parts), ...why(query, best));
}
// What the answer rests on, in a picture where there are matches, in words in any case.
function why(query, best) {
  if (best.inliers === null) return [];
  if (!best.inliers) return [element("p", { class: "note" }, agreement(best))];
  return [element("button", { type: "button", id: "why", title: "Compare the photos", on: { click: () => compare(1) } },
    matching(query, best), element("span", { class: "note" }, `Query and best photo: ${agreement(best)}`))];
}
function agreement({ inliers, matches, geometry }) {
  if (!inliers) return `no match: none of ${number(matches)} similar key points agree`;
  return `${number(inliers)} of ${number(matches)} matches agree (${geometry})`;
}
// Both photos at one height, with lines from key point to key point, coloured from the query's
// top to its bottom so that colour-blind eyes can follow them.
function matching(query, candidate) {
  const height = 480, gap = 12, pairs = candidate.pairs;
  const scales = candidate.sizes.map((s) => height / s[1]);
  const widths = candidate.sizes.map((s, i) => s[0] * scales[i]);
  const lefts = [0, widths[0] + gap];
  const photo = (of, i) => typeof of === "number"
    ? drawn("image", { href: thumbnails[of], x: lefts[i], y: 0, width: widths[i], height, preserveAspectRatio: "none" })
    : drawn("g", {}, drawn("rect", { class: "blank", x: lefts[i], y: 0, width: widths[i], height }), told(of, lefts[i] + widths[i] / 2, height / 2));
  const place = (n, i) => [lefts[i] + (pairs[n + 2 * i] + 0.5) * scales[i], (pairs[n + 2 * i + 1] + 0.5) * scales[i]];
  const tops = pairs.filter((_, n) => n % 4 === 1), low = Math.min(...tops), high = Math.max(...tops);
  const edges = drawn("g", { class: "edges" }), lines = drawn("g", {});
  for (let n = 0; n < pairs.length; n += 4) {
    const [x1, y1] = place(n, 0), [x2, y2] = place(n, 1);
    edges.append(drawn("line", { x1, y1, x2, y2 }));
    lines.append(drawn("line", { x1, y1, x2, y2, stroke: viridis((pairs[n + 1] - low) / Math.max(high - low, 1)) }));
  }
  return drawn("svg", {
    class: "matches", viewBox: `0 0 ${lefts[1] + widths[1]} ${height}`, role: "img",
    "aria-label": `Query ${query.name} and ${candidate.rank}: ${candidate.name}; ${agreement(candidate)}`,
  }, photo(candidate.beside ?? query.picture, 0), photo(candidate.picture, 1), edges, lines);
}
function told(text, x, y) {
  const node = drawn("text", { x, y });
  node.textContent = text;
  return node;
}
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
function viridis(share) {
  const at = share * (VIRIDIS.length - 1), i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return `rgb(${VIRIDIS[i].map((c, k) => Math.round(c + (VIRIDIS[i + 1][k] - c) * (at - i))).join(",")})`;
}
function card(query, candidate) {
  const share = Math.max(0, Math.min(1, candidate.similarity));
  const fill = element("i");
  fill.style.width = `${share * 100}%`;
  return element("button", {
    type: "button", class: "card", "data-rank": candidate.rank, title: `${candidate.path}: compare with the query`,
    on: {
      click: () => { light(candidate.rank); show(candidate.rank); compare(candidate.rank); },
      pointerenter: (event) => { if (event.pointerType === "mouse") { light(candidate.rank); show(candidate.rank); } },
      focus: () => { light(candidate.rank); show(candidate.rank); },
    },
  },
  picture(candidate.picture, `Rank ${candidate.rank}: ${candidate.name}`),
  element("span", { class: "rank", "aria-hidden": "true" }, String(candidate.rank)),
  element("span", { class: "name" }, candidate.name),
  element("span", { class: "bar" }, fill),
  element("span", { class: "facts" }, `${length(candidate.metres)} from the answer`),
  ...(candidate.inliers === null ? [] : [element("span", { class: "facts" },
    candidate.inliers ? `${number(candidate.inliers)} of ${number(candidate.matches)} matches agree` : "no match of key points")]),
  element("span", { class: "facts" }, `similarity ${number(candidate.similarity, 2)}`),
  element("span", { class: "facts" }, `feature distance ${number(candidate.distance, 2)}`),
  ...(candidate.credit ? [element("span", { class: "facts credit" }, candidate.credit)] : []));
}

const dialog = at("compare");
function compare(rank) {
  const query = queries[chosen], candidate = query.candidates[rank - 1];
  const joined = candidate.pairs.length > 0;
  const figure = (of, title, lines) => element("figure", {}, ...(joined ? [] : [picture(of, title)]),
    element("figcaption", {}, element("strong", {}, title), ...lines.flatMap((line) => [element("br"), line])));
  const looked = candidate.heading === null ? [] : [`looking ${compass(candidate.heading)} (${number(candidate.heading)}°${candidate.magnetic ? " from magnetic north" : ""})`];
  const agreed = candidate.inliers === null ? [] : [agreement(candidate)];
  const credit = candidate.credit ? [candidate.credit] : [];
  at("pair").replaceChildren(...(joined ? [matching(query, candidate)] : []),
    figure(candidate.beside ?? query.picture, `Query: ${query.name}`, [degrees(query.lat, query.lon)]),
    figure(candidate.picture, `${candidate.rank}: ${candidate.path}`, [
      degrees(candidate.lat, candidate.lon),
      `${length(candidate.metres)} from the answer · similarity ${number(candidate.similarity, 3)} · feature distance ${number(candidate.distance, 3)}`,
      ...agreed, ...looked, ...credit]));
  at("previous").disabled = rank <= 1;
  at("next").disabled = rank >= query.candidates.length;
  light(rank);
  if (!dialog.open) dialog.showModal();
}
const compass = (heading) => ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"][Math.round(heading / 45) % 8];
function step(by) {
  const rank = lit + by;
  if (rank >= 1 && rank <= queries[chosen].candidates.length) compare(rank);
}
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => {
  const card = document.querySelector(`.card[data-rank="${lit}"]`);
  if (card) card.focus();
});

let silence;
function say(text) {
  at("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { at("said").textContent = ""; }, 2500);
}
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages opened as a file may lack the clipboard interface.
    const field = element("textarea", { "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (!done) return say(`Copying is not allowed here: ${text}`);
  }
  say(`Copied ${text}`);
}

const fingers = new Map();
let moved = 0;
map.addEventListener("pointerdown", (event) => {
  if (event.target.closest("button")) return;
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  map.setPointerCapture(event.pointerId);
  moved = 0;
  map.classList.add("dragging");
});
map.addEventListener("pointermove", (event) => {
  const box = map.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
  if (frame) at("readout").textContent = degrees(...frame.degrees(...ground(px, py)));
  const before = fingers.get(event.pointerId);
  if (!before) return point(event, px, py);
  const now = [event.clientX, event.clientY];
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const spread = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
    zoom(spread(now) / spread(before), (now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top);
    pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  } else {
    pan(now[0] - before[0], now[1] - before[1]);
  }
  moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
  fingers.set(event.pointerId, now);
});
function lift(event) {
  fingers.delete(event.pointerId);
  if (!fingers.size) map.classList.remove("dragging");
}
map.addEventListener("pointerup", (event) => {
  const pressed = fingers.has(event.pointerId);
  lift(event);
  if (!pressed || moved > 5) return;
  // The pointer is captured, so ask what lies below it.
  const below = document.elementFromPoint(event.clientX, event.clientY);
  const mark = below && below.closest(".candidate");
  if (mark) { light(Number(mark.dataset.rank), true); }
});
map.addEventListener("pointercancel", lift);
map.addEventListener("pointerleave", () => { at("hint").hidden = true; at("readout").textContent = ""; });
map.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = map.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
map.addEventListener("dblclick", (event) => {
  if (event.target.closest("button")) return;
  const box = map.getBoundingClientRect();
  zoom(2, event.clientX - box.left, event.clientY - box.top);
});
map.addEventListener("keydown", (event) => {
  const act = {
    ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: fitCandidates, w: fitWhole,
  }[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});
function point(event, px, py) {
  const mark = event.target.closest(".candidate");
  let text = "";
  if (mark) {
    const rank = Number(mark.dataset.rank), candidate = queries[chosen].candidates[rank - 1];
    light(rank, true);
    text = `${rank}: ${candidate.name}`;
  } else {
    let best = 64;
    places.forEach((place, i) => {
      const [x, y] = screen(place), d = (x - px) ** 2 + (y - py) ** 2;
      if (d < best) { best = d; text = photos[i][2]; }
    });
  }
  const hint = at("hint");
  hint.hidden = !text;
  hint.textContent = text;
  hint.style.left = `${Math.min(px + 14, Math.max(0, size[0] - 250))}px`;
  hint.style.top = `${Math.min(py + 14, size[1] - 40)}px`;
}
at("zoom-in").addEventListener("click", () => zoom(1.6));
at("zoom-out").addEventListener("click", () => zoom(1 / 1.6));
at("fit").addEventListener("click", fitCandidates);
at("whole").addEventListener("click", fitWhole);

at("query-list").addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  const next = chosen + by;
  if (!by || next < 0 || next >= queries.length) return;
  event.preventDefault();
  choose(next);
  document.querySelectorAll("#query-list button")[next].focus();
});
function start() {
  at("main").hidden = false;
  at("summary").textContent = `${number(queries.length)} ${queries.length === 1 ? "query" : "queries"} · ${number(total)} photos in the database${photos.length < total ? `, ${number(photos.length)} of them on the map` : ""}`;
  at("queries").hidden = queries.length < 2;
  at("main").classList.toggle("single", queries.length < 2);
  at("query-list").replaceChildren(...queries.map((query, i) => element("li", {},
    element("button", { type: "button", title: query.path, on: { click: () => choose(i) } },
      picture(query.picture, ""), element("span", { class: "name" }, query.name),
      ...(query.found === false ? [element("span", { class: "missing" }, "not in this database")] : [])))));
  const sure = queries.find((query) => query.radius !== null);
  at("legend-radius").hidden = !sure;
  at("legend-guess").hidden = !queries.some((query) => query.found === false);
  if (sure) at("legend-probability").textContent = `holds the true place with ${number(sure.probability * 100)} %`;
  if (queries.length) {
    const asked = Number(location.hash.slice(1)) - 1;
    choose(queries[asked] ? asked : 0, true);
    return;
  }
  at("answer").hidden = at("evidence").hidden = true;
  if (photos.length) frame = frameAt(photos[0][0], photos[0][1]);
  places = photos.map(([lat, lon]) => frame.metres(lat, lon));
  resize();
  fitWhole();
}
start();
new ResizeObserver(() => { resize(); draw(); }).observe(map);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
