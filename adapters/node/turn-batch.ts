/** Gathers items. */
export interface TurnBatch<Item> {
  add(item: Item): void;
  /** Hands over what has been gathered so far. */
  flush(): void;
}

/** Items that come in one turn of the event loop are handed to `take` together at its end; never none. */
export function createTurnBatch<Item>(take: (items: readonly Item[]) => void): TurnBatch<Item> {
  let items: Item[] = [];
  function flush(): void {
    const gathered = items;
    items = [];
    if (gathered.length > 0) take(gathered);
  }
  return {
    add(item) {
      if (items.length === 0) setImmediate(flush);
      items.push(item);
    },
    flush,
  };
}
