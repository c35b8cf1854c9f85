// A map that needs neither tiles nor WebGL: photos as dots on a grid of degrees.

import { at, element } from "../core/dom";
import { EARTH, roundStep, turned, type Place } from "../core/geodesy";
import { fromMercator, mercator, type Ground, type Point } from "./ground";

const HIT = 8;
const SLOP = 5;

export class PlainGround implements Ground {
  private readonly canvas: HTMLCanvasElement;
  private dots: [number, number][] = [];
  private names: readonly string[] = [];
  // The centre in radians of Mercator's plane, and pixels for one.
  private x = 0;
  private y = 0;
  private scale = 100;
  private box: [number, number] = [1, 1];
  private moved: () => void = () => undefined;
  private clicked: (point: Point) => void = () => undefined;
  private waiting = false;

  constructor(private readonly node: HTMLElement) {
    this.canvas = element("canvas", { class: "dots", "aria-hidden": "true" });
    node.prepend(this.canvas);
    this.listen();
    this.resize();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(places: readonly Place[], names: readonly string[]): void {
    this.dots = places.map(mercator);
    this.names = names;
    this.draw();
  }

  size(): Point {
    return this.box;
  }

  project(place: Place): Point {
    return this.screen(mercator(place));
  }

  unproject([px, py]: Point): Place {
    const place = fromMercator(
      this.x + (px - this.box[0] / 2) / this.scale,
      this.y - (py - this.box[1] / 2) / this.scale,
    );
    return { lat: place.lat, lon: turned(place.lon) };
  }

  fit(places: readonly Place[], leastMetres: number): void {
    const first = places[0];
    if (!first) return;
    let [west, south] = mercator(first);
    let [east, north] = [west, south];
    const middle = west;
    for (const place of places) {
      const [lon, y] = mercator(place);
      const x = middle + near(lon - middle);
      west = Math.min(west, x);
      east = Math.max(east, x);
      south = Math.min(south, y);
      north = Math.max(north, y);
    }
    this.x = (west + east) / 2;
    this.y = (south + north) / 2;
    const least = leastMetres / EARTH / Math.max(1e-3, Math.cos((first.lat * Math.PI) / 180));
    const fits = [
      Math.max(40, this.box[0] - 90) / Math.max(east - west, least),
      Math.max(40, this.box[1] - 110) / Math.max(north - south, least),
    ];
    this.scale = bounded(Math.min(...fits));
    this.draw();
  }

  pan(right: number, down: number): void {
    this.x = near(this.x - right / this.scale);
    this.y += down / this.scale;
    this.draw();
  }

  zoom(factor: number, [px, py]: Point = [this.box[0] / 2, this.box[1] / 2]): void {
    const [dx, dy] = [px - this.box[0] / 2, this.box[1] / 2 - py];
    const before = this.scale;
    this.scale = bounded(this.scale * factor);
    this.x += dx / before - dx / this.scale;
    this.y += dy / before - dy / this.scale;
    this.draw();
  }

  centre(place: Place): void {
    [this.x, this.y] = mercator(place);
    this.draw();
  }

  nameAt(point: Point): string {
    let best = HIT ** 2;
    let name = "";
    this.dots.forEach((dot, i) => {
      const [x, y] = this.screen(dot);
      const far = (x - point[0]) ** 2 + (y - point[1]) ** 2;
      if (far < best) [best, name] = [far, this.names[i] ?? ""];
    });
    return name;
  }

  resize(): void {
    const ratio = window.devicePixelRatio || 1;
    this.box = [this.node.clientWidth, this.node.clientHeight];
    this.canvas.width = Math.round(this.box[0] * ratio);
    this.canvas.height = Math.round(this.box[1] * ratio);
    this.draw();
  }

  onMove(act: () => void): void {
    this.moved = act;
  }

  onClick(act: (point: Point) => void): void {
    this.clicked = act;
  }

  private screen([x, y]: [number, number]): Point {
    return [near(x - this.x) * this.scale + this.box[0] / 2, this.box[1] / 2 - (y - this.y) * this.scale];
  }

  private draw(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
      this.moved();
    });
  }

  private paint(): void {
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    const ratio = window.devicePixelRatio || 1;
    const colours = getComputedStyle(document.documentElement);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, ...this.box);
    this.grid(pen, colours.getPropertyValue("--grid"));
    pen.fillStyle = colours.getPropertyValue("--dot");
    const radius = this.dots.length > 5000 ? 1.8 : 3;
    for (const dot of this.dots) {
      const [x, y] = this.screen(dot);
      if (x < -5 || y < -5 || x > this.box[0] + 5 || y > this.box[1] + 5) continue;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
    }
  }

  private grid(pen: CanvasRenderingContext2D, colour: string): void {
    const step = roundStep(((130 / this.scale) * 180) / Math.PI);
    const half = (this.box[0] / 2 / this.scale) * (180 / Math.PI);
    const middle = (this.x * 180) / Math.PI;
    const north = this.unproject([0, 0]).lat;
    const south = this.unproject([0, this.box[1]]).lat;
    pen.strokeStyle = colour;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let lon = Math.ceil((middle - half) / step) * step; lon <= middle + half; lon += step) {
      const x = Math.round(((lon - middle) * Math.PI * this.scale) / 180 + this.box[0] / 2) + 0.5;
      pen.moveTo(x, 0);
      pen.lineTo(x, this.box[1]);
    }
    for (let lat = Math.ceil(south / step) * step; lat <= north; lat += step) {
      const y = Math.round(this.project({ lat, lon: middle })[1]) + 0.5;
      pen.moveTo(0, y);
      pen.lineTo(this.box[0], y);
    }
    pen.stroke();
  }

  private listen(): void {
    const fingers = new Map<number, Point>();
    let travelled = 0;
    const here = (event: MouseEvent): [number, number] => {
      const box = this.node.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const lift = (event: PointerEvent): void => {
      fingers.delete(event.pointerId);
      if (!fingers.size) this.node.classList.remove("dragging");
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, here(event));
      this.canvas.setPointerCapture(event.pointerId);
      travelled = 0;
      this.node.classList.add("dragging");
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = here(event);
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const spread = (p: Point): number => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
        this.zoom(spread(now) / spread(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
        this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
      } else this.pan(now[0] - before[0], now[1] - before[1]);
      travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
      fingers.set(event.pointerId, now);
    });
    this.canvas.addEventListener("pointerup", (event) => {
      const pressed = fingers.has(event.pointerId);
      lift(event);
      if (pressed && travelled <= SLOP) this.clicked(here(event));
    });
    this.canvas.addEventListener("pointercancel", lift);
    this.canvas.addEventListener("dblclick", (event) => this.zoom(2, here(event)));
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), here(event));
      },
      { passive: false },
    );
  }
}

// The same turn of the globe, the short way round.
function near(radians: number): number {
  return (turned((radians * 180) / Math.PI) * Math.PI) / 180;
}

// From the whole Earth to 60 pixels a metre.
const bounded = (scale: number): number => Math.min(60 * EARTH, Math.max(64, scale));

export const plainGround = (): PlainGround => new PlainGround(at("map"));
