import type { TeamPlace } from "../api/duty";
import { pick, word } from "../i18n/language.svelte";
import type { Ground } from "./ground";

/** What somebody or some place is called; what is beyond reach is shown by its id. */
export function personName(ground: Ground, id: string): string {
  const found = ground.people.find((one) => one.id === id);
  return found ? pick(found.display_zh, found.display_en) : id;
}

export function locationName(ground: Ground, id: string): string {
  const found = ground.locations.find((one) => one.id === id);
  if (!found) return id;
  return `${word("location", found.kind)} ${found.code} · ${pick(found.name_zh, found.name_en)}`;
}

export function placeName(ground: Ground, place: TeamPlace): string {
  const site = ground.sites.find((one) => one.id === place.site);
  const siteName = site ? pick(site.name_zh, site.name_en) : place.site;
  return place.location === null ? siteName : `${siteName} · ${locationName(ground, place.location)}`;
}
