// The page of `hafloc serve`: photos in, places out, and why.

import "../styles/base.css";
import "../styles/page.css";
import { at, button, element } from "../core/dom";
import type { Place } from "../core/geodesy";
import type { Query } from "../core/model";
import { number, plural } from "../core/words";
import { Chart } from "../map/chart";
import { answerNodes, inWords, note } from "../show/answer";
import { card, Comparison, lightCard } from "../show/cards";
import { legend } from "../show/legend";
import { picture } from "../show/picture";
import { say } from "../show/say";
import { Api, type Database, type Options, type Settings } from "./api";
import { AreaForm } from "./area";
import { Asking, type Asked } from "./asking";
import { Browse } from "./browse";
import { Correct } from "./correct";
import { Corrections } from "./corrections";
import { FORMATS, save, type Named } from "./export";
import { photosIn } from "./files";
import { groundFor } from "./ground";
import { Heat } from "./heat";
import { List, stateInWords } from "./list";

const CLICK = 16;
const api = new Api();
const below = await groundFor(api);

class Page {
  private settings: Settings | null = null;
  private databases: readonly Database[] = [];
  private chosen: Asked | null = null;
  private lit = 0;

  private readonly chart = new Chart(below.ground, {
    light: (rank) => this.light(rank, true),
    press: (place, point) => this.press(place, point),
    whole: () => this.whole(),
  });
  private readonly area = new AreaForm(this.chart, (area) => {
    const reach = Math.min(80, area.metres / 111_195);
    const wide = reach / Math.max(0.02, Math.cos((area.lat * Math.PI) / 180));
    void this.browse.open(
      [
        Math.max(-180, area.lon - wide),
        Math.max(-90, area.lat - reach),
        Math.min(180, area.lon + wide),
        Math.min(90, area.lat + reach),
      ],
      area,
    );
  });
  private readonly browse = new Browse(api, this.chart, () => this.database());
  private readonly corrections = new Corrections((message) => say(message, 8000));
  private readonly correct = new Correct(this.chart, this.corrections, () => this.draw());
  private readonly heat = new Heat(api);
  private readonly comparison = new Comparison((rank) => this.light(rank));
  private readonly asking = new Asking(
    api,
    () => this.settings?.max_photo_bytes ?? null,
    (asked) => this.changed(asked),
  );
  private readonly list = new List(this.asking.asked, {
    choose: (asked) => this.choose(asked),
    cancel: (asked) => this.asking.cancel(asked),
    again: (asked) => this.again(asked),
  });

  async start(): Promise<void> {
    api.onRefusal((problem) => this.askForKey(problem.message));
    this.listen();
    try {
      this.settings = await api.json<Settings>("v1/settings");
      at("version").textContent = `hafloc ${this.settings.version}`;
      await below.background(this.settings);
      this.nameBackground();
      if (this.settings.needs_key && !api.hasKey) return this.askForKey("");
      await this.open();
    } catch (error) {
      this.problem((error as Error).message);
    }
  }

  // What needs the key, where there is one.
  private async open(): Promise<void> {
    const { databases } = await api.json<{ databases: Database[] }>("v1/databases");
    this.databases = databases;
    at("key-form").hidden = true;
    at("forget-key").hidden = !api.hasKey;
    const select = at<HTMLSelectElement>("database");
    const options = databases.map(({ name, photos }) =>
      element("option", { value: name }, {}, `${name} (${number(photos)} photos)`),
    );
    if (databases.length > 1) options.push(element("option", { value: "*" }, {}, "all of them"));
    select.replaceChildren(...options);
    at("database-part").hidden = databases.length < 2;
    this.openDatabase();
  }

  private openDatabase(): void {
    const shown = this.shownDatabases();
    const photos = shown.reduce((sum, { photos: count }) => sum + count, 0);
    at("summary").textContent = `${shown.map(({ name }) => name).join(", ")} · ${plural(photos, "photo")}`;
    below.photos(shown.map(({ name }) => name));
    if (!this.chosen) this.chart.fitWhole();
  }

  private database(): string {
    return at<HTMLSelectElement>("database").value;
  }

  private shownDatabases(): readonly Database[] {
    const name = this.database();
    return name === "*" ? this.databases : this.databases.filter((one) => one.name === name);
  }

  private whole(): Place[] {
    return this.shownDatabases().flatMap(({ bbox }) =>
      bbox
        ? [
            { lat: bbox[1], lon: bbox[0] },
            { lat: bbox[3], lon: bbox[2] },
          ]
        : [],
    );
  }

  // Throws where the circle is not one.
  private options(): Options {
    return {
      database: this.databases.length > 1 ? this.database() : "",
      near: this.area.value(),
      sequence: at<HTMLInputElement>("sequence").checked,
      cautious: at<HTMLInputElement>("cautious").checked,
    };
  }

  private add(files: readonly File[]): void {
    this.problem("");
    if (!files.length) return this.problem("there is no photo in it; drop files of photos");
    const most = this.settings?.max_photos;
    let options: Options;
    try {
      options = this.options();
    } catch (error) {
      at<HTMLDetailsElement>("where").open = true;
      return this.area.tell((error as Error).message);
    }
    if (options.sequence && most && files.length > most) {
      return this.problem(
        `a walk has at most ${number(most)} photos here, and these are ${number(files.length)}`,
      );
    }
    const made = this.asking.add(files, options);
    for (const one of made) this.list.update(one);
    document.body.classList.add("asked");
    if (made[0]) this.choose(made[0]);
    at(made.length > 1 ? "list" : "answer").scrollIntoView({ block: "nearest" });
  }

  private again(asked: Asked): void {
    try {
      this.asking.again(asked, this.options());
    } catch (error) {
      this.area.tell((error as Error).message);
    }
  }

  private changed(asked: Asked): void {
    this.list.update(asked);
    at("cancel-all").hidden = this.asking.open === 0;
    const { state } = asked;
    if (state.kind === "located") this.tell(inWords(state.query));
    if (state.kind === "failed") this.tell(`${asked.name}: ${state.reason}`);
    if (asked === this.chosen) this.draw(state.kind === "located");
    else if (state.kind === "located") this.drawOthers();
    at("export").hidden = !this.named().length;
  }

  private choose(asked: Asked): void {
    if (asked !== this.chosen) this.correct.end();
    this.chosen = asked;
    this.list.mark(asked);
    this.draw(true);
  }

  // The chosen photo: how far it is, or its answer.
  private draw(fit = false): void {
    const asked = this.chosen;
    if (!asked) return;
    const { state } = asked;
    at("answer").hidden = false;
    if (state.kind !== "located") {
      at("answer").replaceChildren(...this.underway(asked));
      at("evidence").hidden = true;
      this.chart.set({ query: null, lit: 0, corrected: null });
      at("legend-cross").hidden = true;
      return this.drawOthers();
    }
    const { query } = state;
    const open = (rank: number): void => {
      this.show(rank);
      this.comparison.open(query, rank);
    };
    at("answer").replaceChildren(
      ...answerNodes(query, { compare: open, more: this.actions(asked, query) }),
      ...this.remarks(asked),
    );
    const cards = query.candidates.map((candidate) =>
      element("li", {}, {}, card(candidate, { open, light: (rank) => this.show(rank) })),
    );
    at("cards").replaceChildren(...cards);
    at("evidence").hidden = false;
    this.lit = 0;
    const corrected = this.corrections.of(asked.name);
    this.chart.set({ query, lit: 0, corrected });
    at("legend-cross").hidden = !corrected;
    this.drawOthers();
    if (fit) this.chart.fit();
  }

  private drawOthers(): void {
    const located = this.asking.asked.flatMap((asked) =>
      asked.state.kind === "located" ? [{ asked, ...asked.state }] : [],
    );
    const own = this.chosen?.state.kind === "located" ? this.chosen.state.walk : null;
    const walk = own === null ? [] : located.filter((one) => one.walk === own && one.query.found !== false);
    const others = located.filter((one) => one.asked !== this.chosen).map(({ query }) => query);
    this.chart.set({
      others: others.map((query) => ({ place: query, absent: query.found === false })),
      walk: walk.map(({ query }) => query),
    });
    legend(this.chosen?.state.kind === "located" ? this.chosen.state.query : null, others);
  }

  private underway(asked: Asked): Node[] {
    const { state } = asked;
    const words = element(
      "p",
      { class: state.kind === "failed" ? "problem" : "note" },
      {},
      stateInWords(state),
    );
    const acts = ["failed", "cancelled"].includes(state.kind)
      ? [button("Again", () => this.again(asked))]
      : [button("Cancel", () => this.asking.cancel(asked), { class: "cancel" })];
    const bar = element("progress", { "aria-label": `Progress of ${asked.name}`, max: 1 });
    if (state.kind === "sending") bar.value = state.share;
    const open = !["failed", "cancelled"].includes(state.kind);
    return [
      picture(asked.preview, `Query ${asked.name}`),
      element(
        "div",
        { class: "text" },
        {},
        element("h2", { title: asked.name }, {}, asked.name),
        words,
        ...(open ? [bar] : []),
        element("div", { class: "actions" }, {}, ...acts),
      ),
    ];
  }

  private actions(asked: Asked, query: Query): HTMLElement[] {
    const evidence = asked.state.kind === "located" ? asked.state.answer.evidence : null;
    const corrected = this.corrections.of(asked.name);
    return [
      ...(evidence ? [button("Heat map", () => this.heat.open(query, evidence))] : []),
      button("Correct it", () => this.correct.start(asked.name, corrected ?? query), { id: "correct-open" }),
    ];
  }

  private remarks(asked: Asked): Node[] {
    const corrected = this.corrections.of(asked.name);
    const database = asked.state.kind === "located" ? asked.state.answer.database : null;
    return [
      ...(corrected
        ? [note(`You say it was at ${corrected.lat.toFixed(6)}, ${corrected.lon.toFixed(6)}.`)]
        : []),
      ...(database && this.databases.length > 1 ? [note(`Found in ${database}.`)] : []),
      ...(asked.note ? [note(asked.note)] : []),
    ];
  }

  private light(rank: number, reveal = false): void {
    if (rank === this.lit) return;
    this.lit = rank;
    lightCard(rank, reveal);
    this.chart.set({ lit: rank });
  }

  private show(rank: number): void {
    this.light(rank);
    const candidate =
      this.chosen?.state.kind === "located" ? this.chosen.state.query.candidates[rank - 1] : null;
    if (candidate) this.chart.reveal(candidate);
  }

  private press(place: Place, [x, y]: readonly [number, number]): void {
    if (this.correct.open) return this.correct.put(place);
    const low = below.ground.unproject([x - CLICK, y + CLICK]);
    const high = below.ground.unproject([x + CLICK, y - CLICK]);
    void this.browse.open([low.lon, low.lat, high.lon, high.lat], place);
  }

  private named(): Named[] {
    return this.asking.asked.flatMap(({ name, state }) =>
      state.kind === "located" ? [{ name, answer: state.answer }] : [],
    );
  }

  private problem(text: string): void {
    at("problem").textContent = text;
    at("problem").hidden = !text;
  }

  private tell(text: string): void {
    at("told").textContent = text;
  }

  private askForKey(words: string): void {
    at("key-form").hidden = false;
    if (words) at("key-note").textContent = words;
    at("key").focus();
  }

  private nameBackground(): void {
    const tiles = this.settings?.tiles ?? null;
    const pmtiles = this.settings?.pmtiles ?? null;
    const own = "This service has no map of streets; photos lie on a grid of degrees.";
    const host = tiles ? new URL(tiles.url.replace(/[{}]/g, ""), document.baseURI).host : "";
    at("background-note").textContent = pmtiles
      ? "The map comes from this service."
      : tiles
        ? `The map’s pictures come from ${host}, which learns what part of the world you look at.`
        : own;
    at<HTMLInputElement>("background").disabled = !tiles && !pmtiles;
    at("attribution").textContent = tiles?.attribution ?? "";
    at("attribution").hidden = !tiles?.attribution;
  }

  private listen(): void {
    for (const id of ["choose", "take"]) {
      const input = at<HTMLInputElement>(id);
      input.addEventListener("change", () => {
        this.add([...(input.files ?? [])]);
        input.value = "";
      });
    }
    at("take-part").hidden = !matchMedia("(pointer: coarse)").matches;
    this.listenToDrops();
    at("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      api.setKey(at<HTMLInputElement>("key").value.trim());
      this.open().catch((error: Error) => this.askForKey(error.message));
    });
    at("forget-key").addEventListener("click", () => {
      api.setKey("");
      at("forget-key").hidden = true;
    });
    at("database").addEventListener("change", () => this.openDatabase());
    at("open-settings").addEventListener("click", () => at<HTMLDialogElement>("settings").showModal());
    at<HTMLInputElement>("background").addEventListener("change", () => {
      const on = at<HTMLInputElement>("background").checked;
      if (this.settings) void below.background(on ? this.settings : { tiles: null, pmtiles: null });
      at("attribution").hidden = !on || !this.settings?.tiles?.attribution;
    });
    at("cancel-all").addEventListener("click", () => {
      for (const asked of this.asking.asked) this.asking.cancel(asked);
    });
    at("formats").replaceChildren(
      ...FORMATS.map((format) =>
        button(format.title, () => save(format.write(this.named()), format.file, format.type)),
      ),
    );
  }

  private listenToDrops(): void {
    const over = at("over");
    const hide = (): void => {
      over.hidden = true;
    };
    const holdsFiles = (event: DragEvent): boolean =>
      [...(event.dataTransfer?.types ?? [])].includes("Files");
    addEventListener("dragenter", (event) => {
      if (holdsFiles(event)) over.hidden = false;
    });
    // Out of the window; a drag that is given up by Escape ends without a word, but then the mouse moves.
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) hide();
    });
    addEventListener("pointermove", hide);
    addEventListener("keydown", hide);
    addEventListener("dragover", (event) => {
      if (holdsFiles(event)) event.preventDefault();
    });
    addEventListener("drop", (event) => {
      if (!event.dataTransfer || !holdsFiles(event)) return;
      event.preventDefault();
      hide();
      void photosIn(event.dataTransfer).then((files) => this.add(files));
    });
    addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length) this.add(files);
    });
  }
}

void new Page().start();
