/** Things that are part of one another, as a tree. */

type Part = { id: string; part_of: string | null };
export type Branch<T extends Part> = { item: T; parts: Branch<T>[] };

/** Keeps the order within each branch; what is part of something that is not in the list stands at the top. */
export function treeOf<T extends Part>(items: readonly T[]): Branch<T>[] {
  const branches = new Map(items.map((item): [string, Branch<T>] => [item.id, { item, parts: [] }]));
  const tops: Branch<T>[] = [];
  for (const branch of branches.values()) {
    const above = branch.item.part_of === null ? undefined : branches.get(branch.item.part_of);
    (above?.parts ?? tops).push(branch);
  }
  return tops;
}

/** What something is part of, and that in turn: nearest first, itself included, as far as the list reaches. */
export function chainOf<T extends Part>(items: readonly T[], id: string): T[] {
  const chain: T[] = [];
  let next = items.find((item) => item.id === id);
  while (next && !chain.includes(next)) {
    chain.push(next);
    const above = next.part_of;
    next = items.find((item) => item.id === above);
  }
  return chain;
}

/** The whole list in the order of the tree, each with how deep it lies. */
export function flatten<T extends Part>(
  branches: readonly Branch<T>[],
  depth = 0,
): { item: T; depth: number }[] {
  return branches.flatMap(({ item, parts }) => [{ item, depth }, ...flatten(parts, depth + 1)]);
}
