/** How what agents send comes through (docs/live-api.md). */

import { ask, read, type Answer } from "./client";

export type Group = { group: number; holder: string | null; is_held: boolean; since_at: number };
export type Worker = {
  name: string;
  seen_at: number;
  groups: number[];
  tally: Record<string, number>;
};
export type Missing = { lane: string; first: number; last: number };
export type Flow = {
  agent: string;
  site: string;
  online: boolean;
  last_seen_at: number | null;
  depth: number | null;
  oldest_at: number | null;
  told_at: number | null;
  missing: Missing[];
  refused: number;
  conflicts: number;
};
export type Letter = {
  id: number;
  agent: string;
  name: string;
  reason: string;
  detail: string;
  size: number;
  received_at: number;
  replay_asked_at: number | null;
  replayed_at: number | null;
};
export type PipelineState = {
  at: number;
  groups: Group[];
  workers: Worker[];
  agents: Flow[];
  letters: Letter[];
};

export const readPipeline = (): Promise<Answer<PipelineState>> => read("api/pipeline");
export const replayLetter = (id: number): Promise<Answer<null>> =>
  ask("POST", `api/pipeline/letters/${id}/replay`, {});
