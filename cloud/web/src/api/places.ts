/** Organisations, sites, locations and consortia (docs/live-api.md). */

import { ask, read, type Answer } from "./client";

/** Lowest first. */
export const LEVELS = ["village", "township", "county", "city", "province"] as const;
export type Level = (typeof LEVELS)[number];
export const LOCATION_KINDS = ["ward", "room", "bed", "hut", "vehicle", "home"] as const;
export type LocationKind = (typeof LOCATION_KINDS)[number];

export type Names = { name_zh: string; name_en: string };
export type Organisation = Names & {
  id: string;
  level: Level;
  part_of: string | null;
  closed_at: number | null;
};
export type Site = Names & { id: string; organisation: string; zone: string };
export type Area = { division: string; name_zh: string };
export type Affiliation = {
  consortium: string;
  position: "lead" | "member";
  begins_at: number;
  ends_at: number | null;
};
export type OrganisationRecord = Organisation & {
  sites: Site[];
  areas: Area[];
  affiliations: Affiliation[];
};
export type OrganisationChange = Partial<Names & { level: Level; part_of: string; closed: boolean }>;
export type Location = Names & {
  id: string;
  site: string;
  kind: LocationKind;
  part_of: string | null;
  code: string;
  closed_at: number | null;
};
export type NewLocation = Names & { kind: LocationKind; code: string; part_of?: string };

const organisation = (id: string, part = ""): string => `api/organisations/${encodeURIComponent(id)}${part}`;
const affiliations = (consortium: string): string =>
  `api/consortia/${encodeURIComponent(consortium)}/affiliations`;
const locations = (site: string): string => `api/sites/${encodeURIComponent(site)}/locations`;

export const readOrganisations = (): Promise<Answer<Organisation[]>> => read("api/organisations");
export const readOrganisation = (id: string): Promise<Answer<OrganisationRecord>> => read(organisation(id));
export const addOrganisation = (
  above: string,
  made: Names & { level: Level },
): Promise<Answer<OrganisationRecord>> => ask("POST", organisation(above, "/parts"), made);
export const changeOrganisation = (
  id: string,
  change: OrganisationChange,
): Promise<Answer<OrganisationRecord>> => ask("PATCH", organisation(id), change);
export const setAreas = (id: string, areas: Area[]): Promise<Answer<OrganisationRecord>> =>
  ask("PUT", organisation(id, "/areas"), { areas });

export const addConsortium = (lead: string, names: Names): Promise<Answer<OrganisationRecord>> =>
  ask("POST", organisation(lead, "/consortia"), names);
export const joinConsortium = (consortium: string, member: string): Promise<Answer<OrganisationRecord>> =>
  ask("POST", affiliations(consortium), { organisation: member });
export const leaveConsortium = (consortium: string, member: string): Promise<Answer<null>> =>
  ask("DELETE", `${affiliations(consortium)}/${encodeURIComponent(member)}`);

export const addSite = (id: string, made: Names & { zone: string }): Promise<Answer<Site>> =>
  ask("POST", organisation(id, "/sites"), made);
export const readLocations = (site: string): Promise<Answer<Location[]>> => read(locations(site));
export const addLocation = (site: string, made: NewLocation): Promise<Answer<Location>> =>
  ask("POST", locations(site), made);
export const closeLocation = (id: string): Promise<Answer<null>> =>
  ask("POST", `api/locations/${encodeURIComponent(id)}/close`);
