// Photos on their way to an answer: a few at once, in order, each can be cancelled.

import type { Picture, Query } from "../core/model";
import { bytes } from "../core/words";
import { queryOf, type Answer } from "./answers";
import { Problem, type Api, type Failed, type Options, type Watch } from "./api";
import { reduced } from "./reduce";

export type State =
  | { readonly kind: "waiting" }
  | { readonly kind: "sending"; readonly share: number }
  | { readonly kind: "looking" }
  | { readonly kind: "busy"; readonly seconds: number }
  | { readonly kind: "located"; readonly answer: Answer; readonly query: Query; readonly walk: number | null }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "cancelled" };

export interface Asked {
  readonly id: number;
  readonly file: File;
  readonly name: string;
  readonly preview: Picture;
  state: State;
  note: string;
  stop: AbortController;
}

const AT_ONCE = 2;

export class Asking {
  readonly asked: Asked[] = [];
  private readonly waiting: { group: Asked[]; options: Options }[] = [];
  private running = 0;
  private walks = 0;

  constructor(
    private readonly api: Api,
    private readonly mostBytes: () => number | null,
    private readonly changed: (asked: Asked) => void,
  ) {}

  // Photos of one walk go together, others by themselves.
  add(files: readonly File[], options: Options): Asked[] {
    const made = files.map((file, i): Asked => {
      const url = URL.createObjectURL(file);
      return {
        id: this.asked.length + i,
        file,
        name: file.name || "photo",
        preview: { src: url },
        state: { kind: "waiting" },
        note: "",
        stop: new AbortController(),
      };
    });
    this.asked.push(...made);
    this.enter(options.sequence ? [made] : made.map((one) => [one]), options);
    return made;
  }

  again(asked: Asked, options: Options): void {
    asked.stop = new AbortController();
    this.set(asked, { kind: "waiting" });
    this.enter([[asked]], { ...options, sequence: false });
  }

  cancel(asked: Asked): void {
    asked.stop.abort();
    if (asked.state.kind === "waiting") this.set(asked, { kind: "cancelled" });
  }

  get open(): number {
    return this.asked.filter(({ state }) => ["waiting", "sending", "looking", "busy"].includes(state.kind))
      .length;
  }

  private enter(groups: Asked[][], options: Options): void {
    this.waiting.push(...groups.map((group) => ({ group, options })));
    this.next();
  }

  private next(): void {
    while (this.running < AT_ONCE) {
      const job = this.waiting.shift();
      if (!job) return;
      this.running += 1;
      void this.ask(job.group, job.options).finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }

  private async ask(all: Asked[], options: Options): Promise<void> {
    const group = all.filter((one) => one.state.kind !== "cancelled");
    if (!group.length) return;
    const every = (state: State): void => group.forEach((one) => this.set(one, state));
    const stop = new AbortController();
    // Whoever cancels a photo of a walk cancels the walk.
    for (const one of group) one.stop.signal.addEventListener("abort", () => stop.abort());
    const watch: Watch = {
      signal: stop.signal,
      sent: (share) => every(share < 1 ? { kind: "sending", share } : { kind: "looking" }),
      waiting: (seconds) => every({ kind: "busy", seconds }),
    };
    every({ kind: "sending", share: 0 });
    try {
      const files = [];
      for (const one of group) files.push(await this.fitting(one));
      const answers = await this.api.locate(files, options, watch);
      const walk = options.sequence ? ++this.walks : null;
      group.forEach((one, i) => this.set(one, this.stateOf(one, answers[i], walk)));
    } catch (error) {
      every(
        stop.signal.aborted ? { kind: "cancelled" } : { kind: "failed", reason: (error as Error).message },
      );
    }
  }

  private stateOf(one: Asked, answer: Answer | Failed | undefined, walk: number | null): State {
    if (!answer) return { kind: "failed", reason: "the service gave no answer for it" };
    if ("problem" in answer) return { kind: "failed", reason: Problem.of(answer.problem).message };
    return { kind: "located", answer, query: queryOf(answer, one.name, one.preview, this.api), walk };
  }

  // As it is, or, where it is too big for the service, made smaller by the browser.
  private async fitting(one: Asked): Promise<File> {
    const most = this.mostBytes();
    if (!most || one.file.size <= most) return one.file;
    const smaller = await reduced(one.file, most);
    const size = `${one.name}: ${bytes(one.file.size)}, and the service takes ${bytes(most)}`;
    if (!smaller) throw new Problem(`${size}; this browser cannot read it to make it smaller`);
    one.note = `Sent smaller, ${bytes(smaller.size)} of ${bytes(one.file.size)}: the service takes ${bytes(most)}.`;
    return smaller;
  }

  private set(asked: Asked, state: State): void {
    asked.state = state;
    this.changed(asked);
  }
}
