import type { Probe, ProbeSummary } from "./probe-store.ts";
import type { Progress } from "./progress.ts";
import type { SpaceDepth } from "./sentence-encoders.ts";

/** What each of n examples is. */
export type ExampleOutcomes =
  | { readonly task: "classification"; readonly labels: readonly string[] }
  | { readonly task: "regression"; readonly values: readonly number[] };

export interface ProbeFitRequest {
  readonly name: string;
  /** n texts, none of them empty. */
  readonly texts: readonly string[];
  readonly outcomes: ExampleOutcomes;
  /** Whose states to learn from: their mean where there are several. Default: every member of the shared space. */
  readonly members?: readonly string[] | undefined;
  /** Default: by cross-validation. */
  readonly depth?: SpaceDepth | undefined;
  /** λ above 0. Default: by cross-validation. */
  readonly ridge?: number | undefined;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

export interface ClassifyRequest {
  readonly name: string;
  /** Default: the newest. */
  readonly version?: number | undefined;
  /** n texts, none of them empty. */
  readonly texts: readonly string[];
  /** Who reads the texts. Default: whom the probe has learned from. */
  readonly members?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Classification {
  readonly probe: ProbeSummary;
  /** Who has read the texts. */
  readonly members: readonly string[];
  /** Who was to read them and could not: the others answer without. */
  readonly lost: readonly { readonly id: string; readonly reason: string }[];
  /** Whether the probabilities were calibrated for just these members. */
  readonly calibrated: boolean;
  /** Row-major (n, c): probabilities of the classes, or one value for regression. */
  readonly outputs: Float64Array;
  /** Tokens read over all texts and members. */
  readonly tokens: number;
}

/** Named linear heads on the shared sentence space: learned through some members, served through any. */
export interface Probes {
  /**
   * Learns a head and keeps it as the next version of its name.
   * @throws GatewayError invalid_request (too few examples, a text without tokens) | unknown_model (a member without a
   *   map) | context_length_exceeded | cancelled | members_lost
   */
  fit(request: ProbeFitRequest): Promise<ProbeSummary>;
  /**
   * @throws GatewayError unknown_model (no such probe or member) | invalid_request (a text without tokens; a probe of
   *   another shared space) | context_length_exceeded | cancelled | members_lost when no member is left
   */
  classify(request: ClassifyRequest): Promise<Classification>;
  /** Every version of every probe, or of one; by name, the newest version first. */
  list(name?: string): Promise<readonly ProbeSummary[]>;
  /** With its weights. @throws GatewayError unknown_model */
  find(name: string, version?: number): Promise<Probe>;
  /** Takes a probe from elsewhere. @throws GatewayError invalid_request when it is of another shared space or does not fit it */
  add(probe: Omit<Probe, "version">): Promise<ProbeSummary>;
  /** All versions; tells how many there were. @throws GatewayError unknown_model when there was none */
  remove(name: string): Promise<number>;
}
