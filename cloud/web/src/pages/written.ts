/** The pages beside wall and bed: what is looked up, written and decided. */

import type { Component } from "svelte";
import type { Page } from "../state/route.svelte";
import Account from "./Account.svelte";
import Audit from "./Audit.svelte";
import Devices from "./Devices.svelte";
import Duty from "./Duty.svelte";
import Me from "./Me.svelte";
import People from "./People.svelte";
import Pipeline from "./Pipeline.svelte";
import Places from "./Places.svelte";
import Register from "./Register.svelte";
import Reviews from "./Reviews.svelte";
import Staff from "./Staff.svelte";
import Unclaimed from "./Unclaimed.svelte";

export const PAGE_COMPONENTS: Partial<Record<Page, Component>> = {
  account: Account,
  audit: Audit,
  devices: Devices,
  duty: Duty,
  me: Me,
  people: People,
  pipeline: Pipeline,
  places: Places,
  register: Register,
  reviews: Reviews,
  staff: Staff,
  unclaimed: Unclaimed,
};
