/** The pages beside wall and bed: what is looked up, written and decided. */

import type { Component } from "svelte";
import type { Page } from "../state/route.svelte";
import Account from "./Account.svelte";
import Audit from "./Audit.svelte";
import Me from "./Me.svelte";
import People from "./People.svelte";
import Register from "./Register.svelte";
import Reviews from "./Reviews.svelte";
import Unclaimed from "./Unclaimed.svelte";

export const PAGE_COMPONENTS: Partial<Record<Page, Component>> = {
  account: Account,
  audit: Audit,
  me: Me,
  people: People,
  register: Register,
  reviews: Reviews,
  unclaimed: Unclaimed,
};
