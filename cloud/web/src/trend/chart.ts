/** One uPlot of a group of keys: last value as a line, minimum to maximum as a band, gaps hatched. */

import uPlot from "uplot";
import { minuteTime, TIME_ZONE } from "../format/time";
import type { Columns } from "./columns";

export interface ChartStretch {
  fromS: number;
  toS: number;
  label: string;
}

export interface ChartPlan {
  columns: Columns;
  colours: string[];
  /** Spot measurements are points: nothing is known between two of them. */
  spot: boolean[];
  fromS: number;
  toS: number;
  gaps: ChartStretch[];
  /** Before monitoring began: nothing is invented there. */
  before: ChartStretch | null;
  inks: { text: string; grid: string; hatch: string; raised: string };
  onCursor: (index: number | null) => void;
}

const HEIGHT = 150;
const FONT = "11px system-ui, sans-serif";

export function drawTrend(into: HTMLElement, plan: ChartPlan): uPlot {
  const { inks } = plan;
  const axis = {
    stroke: inks.text,
    font: FONT,
    grid: { stroke: inks.grid, width: 1 },
    ticks: { show: false },
  };
  return new uPlot(
    {
      width: into.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), TIME_ZONE),
      scales: { x: { time: true, range: [plan.fromS, plan.toS] }, y: { range: roomAround } },
      axes: [
        { ...axis, size: 24, values: (_plot, splits) => splits.map((s) => minuteTime(s * 1000)) },
        { ...axis, size: 40, space: 28 },
      ],
      series: [{}, ...plan.colours.flatMap((colour, i) => seriesOf(colour, plan.spot[i] ?? false))],
      bands: plan.colours.map((colour, i) => ({ series: [i * 3 + 3, i * 3 + 2], fill: `${colour}33` })),
      legend: { show: false },
      cursor: { sync: { key: "trend" }, drag: { x: false, y: false }, points: { show: false } },
      hooks: {
        drawClear: [(plot) => drawStretches(plot, plan)],
        setCursor: [(plot) => plan.onCursor(plot.cursor.idx ?? null)],
      },
    },
    [plan.columns.x, ...plan.columns.y] as uPlot.AlignedData,
    into,
  );
}

const NARROWEST = 20;

/** A flat line stays in the middle, and noise of one unit does not fill the chart. */
export function roomAround(_plot: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, NARROWEST];
  const pad = Math.max((NARROWEST - (high - low)) / 2, (high - low) * 0.1);
  return [Math.floor(low - pad), Math.ceil(high + pad)];
}

function seriesOf(colour: string, spot: boolean): uPlot.Series[] {
  const silent: uPlot.Series = { stroke: "transparent", width: 0, points: { show: false } };
  const last: uPlot.Series = {
    stroke: colour,
    width: 1.5,
    spanGaps: false,
    points: { show: true, size: spot ? 6 : 3, fill: colour, width: 0 },
  };
  if (!spot && last.points) last.points.filter = (plot, index) => aloneIn(plot.data[index]);
  if (spot) last.paths = () => null;
  return [last, silent, { ...silent }];
}

/** Buckets with a hole on both sides: no line shows them. */
function aloneIn(column: uPlot.AlignedData[number] | undefined): number[] {
  const alone: number[] = [];
  column?.forEach((value, i) => {
    if (value != null && column[i - 1] == null && column[i + 1] == null) alone.push(i);
  });
  return alone;
}

function drawStretches(plot: uPlot, plan: ChartPlan): void {
  const { ctx } = plot;
  ctx.save();
  if (plan.before) {
    const [left, width] = place(plot, plan.before);
    ctx.fillStyle = plan.inks.raised;
    ctx.fillRect(left, plot.bbox.top, width, plot.bbox.height);
    writeLabel(plot, plan.before.label, left, width, plan.inks.text);
  }
  for (const gap of plan.gaps) {
    const [left, width] = place(plot, gap);
    hatchArea(plot, left, Math.max(width, 2 * uPlot.pxRatio), plan.inks.hatch);
    writeLabel(plot, gap.label, left, width, plan.inks.text);
  }
  ctx.restore();
}

/** Left edge and width in canvas pixels, kept inside the plotting area. */
function place(plot: uPlot, stretch: ChartStretch): [left: number, width: number] {
  const { left, width } = plot.bbox;
  const inside = (seconds: number) =>
    Math.min(left + width, Math.max(left, plot.valToPos(seconds, "x", true)));
  const start = inside(stretch.fromS);
  return [start, inside(stretch.toS) - start];
}

function hatchArea(plot: uPlot, left: number, width: number, ink: string): void {
  const { ctx } = plot;
  const { top, height } = plot.bbox;
  const step = 7 * uPlot.pxRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.beginPath();
  for (let x = left - height; x < left + width; x += step) {
    ctx.moveTo(x, top + height);
    ctx.lineTo(x + height, top);
  }
  ctx.strokeStyle = ink;
  ctx.lineWidth = uPlot.pxRatio;
  ctx.stroke();
  ctx.restore();
}

function writeLabel(plot: uPlot, label: string, left: number, width: number, ink: string): void {
  const { ctx } = plot;
  ctx.font = `${11 * uPlot.pxRatio}px system-ui, sans-serif`;
  if (ctx.measureText(label).width > width - 4 * uPlot.pxRatio) return;
  ctx.fillStyle = ink;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  ctx.fillText(label, left + width / 2, plot.bbox.top + 4 * uPlot.pxRatio);
}
