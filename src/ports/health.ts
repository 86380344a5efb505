/** Whether something that may be lost can be asked now. */
export interface Health {
  /** A member's id, or what else it is. */
  readonly id: string;
  /** `starting`: it was lost and is being started again. */
  readonly state: "up" | "down" | "starting";
  /** Why it was lost last; null while it is up. */
  readonly reason: string | null;
  /** When it is started again, milliseconds since the Unix epoch; null unless it is down. */
  readonly restartsAt: number | null;
}

/** How the parts of an ensemble are. */
export interface EnsembleHealth {
  /** The members that a fused answer needs. */
  readonly quorum: number;
  readonly members: readonly Health[];
  /** The shared decoder's, without which nothing is fused. */
  readonly decoder: Health;
}
