/** What is noted of a span; names after OpenTelemetry's conventions where these have one, else `concord.*`. */
export type Attributes = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** A part of the work for one request, with a beginning and an end, in the tree of that request. */
export interface Span {
  /** False where nobody keeps it: what it would be told need not be made. */
  readonly recording: boolean;
  /** Of the whole tree, 32 hexadecimal digits; null where it is not recorded. */
  readonly traceId: string | null;
  /** Begins a part of it. @param startMs by the monotonic clock; default now */
  child(name: string, attributes?: Attributes, startMs?: number): Span;
  note(attributes: Attributes): void;
  /** Once. @param error what it failed with @param endMs by the monotonic clock; default now */
  end(error?: unknown, endMs?: number): void;
}

/** A span that nobody keeps. */
export const silentSpan: Span = {
  recording: false,
  traceId: null,
  child: () => silentSpan,
  note() {},
  end() {},
};
