// The map with its marks, scale, buttons and keys; what lies below may be any `Ground`.

import { at, drawn, element } from "../core/dom";
import { circle, distance, roundStep, type Area, type Place } from "../core/geodesy";
import { degrees, length } from "../core/words";
import type { Ground, Point } from "./ground";
import { EMPTY, marksOf, type Scene } from "./marks";

const KEY_STEP = 60;
const MARK = 13;
const BAR = 130;

export interface ChartActs {
  // A candidate's mark was pointed at or pressed.
  readonly light: (rank: number) => void;
  readonly press?: (place: Place, point: Point) => void;
  // All that the whole map should show.
  readonly whole: () => readonly Place[];
}

export class Chart {
  private readonly node = at("map");
  private readonly svg = drawn("svg", { class: "marks", "aria-hidden": "true" });
  private scene: Scene = EMPTY;
  private labels: Map<number, Point> = new Map();

  constructor(
    readonly ground: Ground,
    private readonly acts: ChartActs,
  ) {
    at("map-tools").before(this.svg);
    ground.onMove(() => this.draw());
    ground.onClick((point) => this.press(point));
    this.listen();
    new ResizeObserver(() => {
      ground.resize();
      this.draw();
    }).observe(this.node);
    this.draw();
  }

  set(change: Partial<Scene>): void {
    this.scene = { ...this.scene, ...change };
    this.draw();
  }

  fit(): void {
    const { query, walk, area } = this.scene;
    if (query) {
      const around = query.radius ? circle({ ...query, metres: query.radius }, 8) : [];
      return this.ground.fit([query, ...query.candidates, ...around], 80);
    }
    if (walk.length || area) return this.ground.fit([...walk, ...(area ? circle(area, 8) : [])], 80);
    this.fitWhole();
  }

  fitWhole(): void {
    const places = this.acts.whole();
    if (places.length) this.ground.fit(places, 80);
  }

  // Brings a place into sight without losing the answer from it where both fit.
  reveal(place: Place): void {
    const [x, y] = this.ground.project(place);
    const [width, height] = this.ground.size();
    if (x < 30 || y < 30 || x > width - 30 || y > height - 30) this.ground.centre(place);
  }

  middle(): Place {
    const [width, height] = this.ground.size();
    return this.ground.unproject([width / 2, height / 2]);
  }

  // West, south, east, north of what is seen.
  box(): [number, number, number, number] {
    const [width, height] = this.ground.size();
    const low = this.ground.unproject([0, height]);
    const high = this.ground.unproject([width, 0]);
    return [low.lon, low.lat, high.lon, high.lat];
  }

  // Lets a circle be drawn, from its centre outwards; Escape leaves it.
  drawArea(done: (area: Area | null) => void): void {
    const glass = element("div", { class: "glass" });
    let start: Place | null = null;
    const before = this.scene.area;
    const end = (area: Area | null): void => {
      glass.remove();
      document.removeEventListener("keydown", escape);
      this.set({ area: area ?? before });
      done(area);
    };
    const escape = (event: KeyboardEvent): void => {
      if (event.key === "Escape") end(null);
    };
    const drawnTo = (event: PointerEvent): Area | null => {
      const metres = start && distance(start, this.ground.unproject(this.here(event)));
      return start && metres ? { ...start, metres } : null;
    };
    glass.addEventListener("pointerdown", (event) => {
      glass.setPointerCapture(event.pointerId);
      start = this.ground.unproject(this.here(event));
    });
    glass.addEventListener("pointermove", (event) => {
      const area = drawnTo(event);
      if (area) this.set({ area });
    });
    glass.addEventListener("pointerup", (event) => {
      const area = drawnTo(event);
      if (area && area.metres > 1) end(area);
    });
    glass.addEventListener("pointercancel", () => end(null));
    document.addEventListener("keydown", escape);
    at("map-tools").before(glass);
  }

  // A handle at `place` that can be dragged; what it returns takes it away.
  handle(place: Place, moved: (place: Place) => void): { put: (place: Place) => void; end: () => void } {
    const knob = element("div", { class: "knob" });
    let now = place;
    const lay = (): void => {
      const [x, y] = this.ground.project(now);
      knob.style.transform = `translate(${x}px, ${y}px)`;
    };
    knob.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      knob.setPointerCapture(event.pointerId);
    });
    knob.addEventListener("pointermove", (event) => {
      if (!knob.hasPointerCapture(event.pointerId)) return;
      now = this.ground.unproject(this.here(event));
      lay();
      moved(now);
    });
    this.followers.add(lay);
    at("map-tools").before(knob);
    lay();
    return {
      put: (to) => {
        now = to;
        lay();
      },
      end: () => {
        this.followers.delete(lay);
        knob.remove();
      },
    };
  }

  private readonly followers = new Set<() => void>();

  private here(event: MouseEvent): Point {
    const box = this.node.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private draw(): void {
    const [width, height] = this.ground.size();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const { nodes, labels } = marksOf(this.scene, this.ground);
    this.svg.replaceChildren(...nodes);
    this.labels = labels;
    for (const lay of this.followers) lay();
    this.drawScale();
  }

  private drawScale(): void {
    const [width, height] = this.ground.size();
    const left = this.ground.unproject([width / 2 - 50, height / 2]);
    const right = this.ground.unproject([width / 2 + 50, height / 2]);
    const metres = distance(left, right) / 100;
    if (!(metres > 0)) return;
    const step = roundStep(BAR * metres);
    at("scale-text").textContent = length(step);
    at("scale-bar").style.width = `${step / metres}px`;
  }

  private rankAt([x, y]: Point): number {
    let [best, rank] = [MARK, 0];
    for (const [number, [lx, ly]] of this.labels) {
      const far = Math.hypot(lx - x, ly - y);
      if (far <= best) [best, rank] = [far, number];
    }
    return rank;
  }

  private press(point: Point): void {
    const rank = this.rankAt(point);
    if (rank) this.acts.light(rank);
    else this.acts.press?.(this.ground.unproject(point), point);
  }

  private point(event: PointerEvent): void {
    const point = this.here(event);
    at("readout").textContent = degrees(this.ground.unproject(point));
    if (event.buttons) return this.hint("", point);
    const rank = this.rankAt(point);
    const candidate = rank ? this.scene.query?.candidates[rank - 1] : undefined;
    if (candidate) this.acts.light(rank);
    this.hint(candidate ? `${rank}: ${candidate.name}` : this.ground.nameAt(point), point);
  }

  private hint(text: string, [x, y]: Point): void {
    const hint = at("hint");
    const [width, height] = this.ground.size();
    hint.hidden = !text;
    hint.textContent = text;
    hint.style.left = `${Math.min(x + 14, Math.max(0, width - 250))}px`;
    hint.style.top = `${Math.min(y + 14, height - 40)}px`;
  }

  private listen(): void {
    this.node.addEventListener("pointermove", (event) => {
      if (!(event.target as Element).closest("button")) this.point(event);
    });
    this.node.addEventListener("pointerleave", () => {
      at("hint").hidden = true;
      at("readout").textContent = "";
    });
    at("zoom-in").addEventListener("click", () => this.ground.zoom(1.6));
    at("zoom-out").addEventListener("click", () => this.ground.zoom(1 / 1.6));
    at("fit").addEventListener("click", () => this.fit());
    at("whole").addEventListener("click", () => this.fitWhole());
    const keys: Record<string, () => void> = {
      ArrowLeft: () => this.ground.pan(KEY_STEP, 0),
      ArrowRight: () => this.ground.pan(-KEY_STEP, 0),
      ArrowUp: () => this.ground.pan(0, KEY_STEP),
      ArrowDown: () => this.ground.pan(0, -KEY_STEP),
      "+": () => this.ground.zoom(1.5),
      "=": () => this.ground.zoom(1.5),
      "-": () => this.ground.zoom(1 / 1.5),
      "0": () => this.fit(),
      w: () => this.fitWhole(),
      Enter: () => {
        const [width, height] = this.ground.size();
        this.press([width / 2, height / 2]);
      },
    };
    this.node.addEventListener("keydown", (event) => {
      const act = event.target === this.node ? keys[event.key] : undefined;
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
  }
}
