/** What a plan of duties stands on: who may be planned, and what a team may look after. */

import type { Answer, Refusal } from "../api/client";
import { readLocations, readOrganisation, type Location, type Organisation, type Site } from "../api/places";
import { readPractitioners, type Practitioner } from "../api/staff";
import { byKind } from "../places/nesting";
import { chainOf } from "../places/tree";

export type Ground = { people: Practitioner[]; sites: Site[]; locations: Location[] };

/** Who works at the organisation or above it, and its sites with what lies in them. */
export async function readGround(
  organisation: Organisation,
  organisations: readonly Organisation[],
): Promise<Answer<Ground>> {
  const chain = chainOf(organisations, organisation.id);
  const [record, ...staff] = await Promise.all([
    readOrganisation(organisation.id),
    ...chain.map((one) => readPractitioners(one.id)),
  ]);
  const people = together(staff);
  if (!record.ok) return record;
  if (!people.ok) return people;
  const sites = record.value.sites;
  const locations = together(await Promise.all(sites.map((site) => readLocations(site.id))));
  if (!locations.ok) return locations;
  return {
    ok: true,
    value: { people: onePerPerson(people.value), sites, locations: byKind(locations.value) },
  };
}

/** All lists as one, or the first refusal. */
function together<T>(answers: Answer<T[]>[]): Answer<T[]> {
  const refused = answers.find((answer): answer is Refusal => !answer.ok);
  return refused ?? { ok: true, value: answers.flatMap((answer) => (answer.ok ? answer.value : [])) };
}

/** Somebody who works in several of these organisations stands there once, with every role. */
function onePerPerson(people: readonly Practitioner[]): Practitioner[] {
  const byId = new Map<string, Practitioner>();
  for (const one of people) {
    const known = byId.get(one.id);
    byId.set(one.id, known ? { ...known, roles: [...known.roles, ...one.roles] } : one);
  }
  return [...byId.values()];
}

/** Whether somebody works there still. */
export const isThere = (one: Practitioner, now: number): boolean =>
  one.roles.some((role) => role.ends_at === null || role.ends_at > now);
