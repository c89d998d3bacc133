/** The pages beside wall and bed: what is looked up, written and decided. */

import type { Component } from "svelte";
import type { Page } from "../state/route.svelte";
import People from "./People.svelte";
import Register from "./Register.svelte";
import Unclaimed from "./Unclaimed.svelte";

export const PAGE_COMPONENTS: Partial<Record<Page, Component>> = {
  people: People,
  register: Register,
  unclaimed: Unclaimed,
};
