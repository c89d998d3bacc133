import { LOCATION_KINDS, type Location, type LocationKind } from "../api/places";

/** What a location of a kind may lie in; the server decides. */
export const MAY_LIE_IN: Partial<Record<LocationKind, readonly LocationKind[]>> = {
  room: ["ward", "hut", "home"],
  bed: ["room", "ward", "hut", "vehicle", "home"],
};

const rank = (location: Location): number => LOCATION_KINDS.indexOf(location.kind);

/** Wards first, then what lies in them; within a kind as the server has ordered them. */
export const byKind = (locations: readonly Location[]): Location[] =>
  [...locations].sort((one, other) => rank(one) - rank(other));
