/** The lanes of one patient on one canvas. */

import type { WaveTrack } from "../live/wave-track";
import { Lane, type LaneStyle } from "./lane";
import { unitsPerMv } from "./scale";

export interface LaneSource {
  family: "ecg" | "pleth";
  track: () => WaveTrack | undefined;
}

const GUTTER = 34;
/** Room above each lane for its name. */
const NAME_HEIGHT = 18;
const LANE_GAP = 4;
const LARGEST_DENSITY = 2;
const COLOURS = { ecg: "--ecg", pleth: "--spo2" } as const;

export class Sweep {
  readonly lanes: Lane[];
  private readonly canvas: HTMLCanvasElement;
  private readonly ctx: CanvasRenderingContext2D;
  private readonly sources: readonly LaneSource[];
  private styles: LaneStyle[] = [];
  private barColour = "";
  private density = 1;
  private height = 0;

  constructor(
    canvas: HTMLCanvasElement,
    sources: readonly LaneSource[],
    windowMs: number,
    watchedSince: () => number,
  ) {
    this.canvas = canvas;
    this.ctx = canvas.getContext("2d") as CanvasRenderingContext2D;
    this.sources = sources;
    this.lanes = sources.map((source) => new Lane(source.family, windowMs, watchedSince));
  }

  resize(width: number, height: number): void {
    this.density = Math.min(window.devicePixelRatio || 1, LARGEST_DENSITY);
    this.canvas.width = Math.round(width * this.density);
    this.canvas.height = Math.round(height * this.density);
    this.height = height;
    this.ctx.setTransform(this.density, 0, 0, this.density, 0, 0);
    // The ECG, where there is one beside the pleth, gets the larger share.
    const shares = this.sources.length === 2 ? [0.6, 0.4] : [1];
    let top = 0;
    this.lanes.forEach((lane, i) => {
      const share = (shares[i] ?? 1) * height;
      lane.box = {
        left: GUTTER,
        width: width - GUTTER,
        top: top + NAME_HEIGHT,
        height: share - NAME_HEIGHT - LANE_GAP,
      };
      top += share;
    });
    this.restyle();
  }

  /** Takes the colours of the present theme and draws everything anew. */
  restyle(): void {
    const style = getComputedStyle(this.canvas);
    const hatch = hatchPattern(this.ctx, style.getPropertyValue("--hatch").trim(), this.density);
    this.styles = this.sources.map((source) => ({
      stroke: style.getPropertyValue(COLOURS[source.family]).trim(),
      hatch,
      lineWidth: 1.6,
    }));
    this.barColour = style.getPropertyValue("--text-2").trim();
    this.ctx.clearRect(0, 0, this.canvas.width, this.height);
    for (const lane of this.lanes) lane.invalidate();
    this.drawBars();
  }

  paint(displayAt: number): void {
    if (Number.isNaN(displayAt) || this.height === 0) return;
    let rescaled = false;
    for (let i = 0; i < this.lanes.length; i++) {
      const track = this.sources[i]?.track();
      const lane = this.lanes[i];
      const style = this.styles[i];
      if (!track || !lane || !style) continue;
      rescaled = lane.paint(this.ctx, track, displayAt, style) || rescaled;
    }
    if (rescaled) this.drawBars();
  }

  /** What one millivolt is at this height; a pleth has no unit and so no bar. */
  private drawBars(): void {
    const { ctx } = this;
    ctx.clearRect(0, 0, GUTTER, this.height);
    this.lanes.forEach((lane, i) => {
      const source = this.sources[i];
      if (source?.family !== "ecg" || !lane.scale) return;
      const unit = source.track()?.unit ?? "mV";
      const bar = (lane.box.height * unitsPerMv(unit)) / lane.scale.span;
      const bottom = lane.box.top + lane.box.height / 2 + bar / 2;
      ctx.strokeStyle = this.barColour;
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      ctx.moveTo(4, bottom);
      ctx.lineTo(8, bottom);
      ctx.lineTo(8, bottom - bar);
      ctx.lineTo(20, bottom - bar);
      ctx.lineTo(20, bottom);
      ctx.lineTo(24, bottom);
      ctx.stroke();
      ctx.fillStyle = this.barColour;
      ctx.font = "10px system-ui, sans-serif";
      ctx.fillText("1 mV", 2, bottom + 12);
    });
  }
}

function hatchPattern(ctx: CanvasRenderingContext2D, colour: string, density: number): CanvasPattern | null {
  const side = 8 * density;
  const cell = document.createElement("canvas");
  cell.width = side;
  cell.height = side;
  const pen = cell.getContext("2d");
  if (!pen) return null;
  pen.strokeStyle = colour;
  pen.lineWidth = density;
  for (const shift of [-side, 0, side]) {
    pen.moveTo(shift, side);
    pen.lineTo(shift + side, 0);
  }
  pen.stroke();
  const pattern = ctx.createPattern(cell, "repeat");
  pattern?.setTransform(new DOMMatrix().scale(1 / density));
  return pattern;
}
