/** Teams, what they look after, and who is on duty when (docs/live-api.md). */

import { ask, read, type Answer } from "./client";
import type { Names } from "./places";

export type TeamPlace = { site: string; location: string | null };
export type Team = Names & {
  id: string;
  organisation: string;
  closed_at: number | null;
  places: TeamPlace[];
};
export type Duty = { id: number; team: string; person: string; begins_at: number; ends_at: number | null };
/** One turn of a week: Monday is 0; an end that is not after the beginning lies on the next day. */
export type Shift = { weekday: number; begins: string; ends: string };
export type Pattern = { person: string; first: string; last: string; shifts: Shift[] };
export type OnDuty = {
  person: string;
  display_zh: string;
  display_en: string;
  team: string;
  team_zh: string;
  team_en: string;
  location: string | null;
  ends_at: number | null;
};

const of = (organisation: string): string => `api/organisations/${encodeURIComponent(organisation)}/teams`;
const one = (id: string, part: string): string => `api/teams/${encodeURIComponent(id)}${part}`;

export const readTeams = (organisation: string): Promise<Answer<Team[]>> => read(of(organisation));
export const addTeam = (organisation: string, names: Names): Promise<Answer<Team>> =>
  ask("POST", of(organisation), names);
export const closeTeam = (id: string): Promise<Answer<Team>> => ask("POST", one(id, "/close"));
export const addTeamPlace = (id: string, place: TeamPlace): Promise<Answer<Team>> =>
  ask("POST", one(id, "/places"), place);
export const removeTeamPlace = (id: string, place: TeamPlace): Promise<Answer<Team>> =>
  ask("POST", one(id, "/places/remove"), place);

export const readDuties = (team: string, from: number, to: number): Promise<Answer<Duty[]>> =>
  read(one(team, `/duties?from_at=${from}&to_at=${to}`));
export const addDuty = (
  team: string,
  duty: { person: string; begins_at: number; ends_at: number | null },
): Promise<Answer<Duty>> => ask("POST", one(team, "/duties"), duty);
export const addPattern = (team: string, pattern: Pattern): Promise<Answer<{ made: number }>> =>
  ask("POST", one(team, "/duty-pattern"), pattern);
export const endDuty = (id: number): Promise<Answer<null>> => ask("POST", `api/duties/${id}/end`);
export const readOnDuty = (location: string): Promise<Answer<OnDuty[]>> =>
  read(`api/locations/${encodeURIComponent(location)}/on-duty`);
