import { z } from "zod";
import type { Collector } from "./told-gateway.ts";

const attributeSchema = z.object({
  key: z.string(),
  value: z.object({
    stringValue: z.string().optional(),
    intValue: z.union([z.string(), z.number()]).optional(),
    doubleValue: z.number().optional(),
  }),
});
const spanSchema = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  kind: z.int(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  attributes: z.array(attributeSchema),
  status: z.object({ code: z.int(), message: z.string().optional() }),
});
const exportSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(attributeSchema) }),
      scopeSpans: z.array(z.object({ scope: z.object({ name: z.string() }), spans: z.array(spanSchema) })),
    }),
  ),
});
/** As OTLP has it. */
export type ToldSpan = z.infer<typeof spanSchema>;

/** Every span that a collector has been sent as JSON. */
export function spansOf({ received }: Collector): ToldSpan[] {
  return received
    .flatMap(({ body }) => exportSchema.parse(JSON.parse(body.toString())).resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
}

export function attribute({ attributes }: Pick<ToldSpan, "attributes">, name: string) {
  const value = attributes.find(({ key }) => key === name)?.value;
  return value?.stringValue ?? value?.doubleValue ?? (value?.intValue && Number(value.intValue));
}

/** A span's name with those of its parts, in the order in which they began. */
export type Tree = readonly [string, ...Tree[]];
export function treeOf(spans: readonly ToldSpan[], root: ToldSpan): Tree {
  const parts = spans
    .filter(({ parentSpanId }) => parentSpanId === root.spanId)
    .sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)));
  return [root.name, ...parts.map((part) => treeOf(spans, part))];
}

export const names = ([name, ...parts]: Tree): string[] => [name, ...parts.flatMap(names)];
